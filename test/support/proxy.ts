import { connect, createServer, type Socket } from 'node:net';

export interface Proxy {
  /** The database's URL, through here. */
  url: string;
  /** Ends all connections, and every new one at once. */
  cut: () => void;
  /** Passes nothing on any more, and never says so: as when a machine is gone, or a cable is. */
  silence: () => void;
  /**
   * Of the next transaction in which this text is sent, lets the commit through, and ends the
   * connection when PostgreSQL has answered it, without passing the answer on.
   */
  loseCommitOf: (text: string) => void;
  /** Serves new connections again. What was silenced stays silent. */
  restore: () => void;
}

const opened = new Set<Socket>();
const servers = new Set<ReturnType<typeof createServer>>();

/** Stands between a server and its PostgreSQL, and can come between them. */
export async function startProxy(databaseUrl: string): Promise<Proxy> {
  const target = new URL(databaseUrl);
  const pairs = new Set<[Socket, Socket]>();
  let state: 'open' | 'cut' | 'silent' = 'open';
  let awaited: string | undefined;

  const server = createServer((client) => {
    opened.add(client);
    client.on('error', () => undefined);
    if (state === 'cut') return void client.destroy();
    if (state === 'silent') return;
    const upstream = connect(Number(target.port), target.hostname);
    opened.add(upstream);
    upstream.on('error', () => undefined);
    client.pipe(upstream).pipe(client);
    let marked = false;
    client.on('data', (chunk: Buffer) => {
      marked ||= awaited !== undefined && chunk.includes(awaited);
      if (!marked || !chunk.includes('commit')) return;
      marked = false;
      awaited = undefined;
      upstream
        .unpipe(client)
        .once('data', () => client.destroy())
        .resume();
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    pairs.add([client, upstream]);
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const url = new URL(databaseUrl);
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    cut: () => {
      state = 'cut';
      for (const [client] of pairs) client.destroy();
      pairs.clear();
    },
    silence: () => {
      state = 'silent';
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream).pause();
        upstream.unpipe(client).pause();
      }
      pairs.clear();
    },
    loseCommitOf: (text) => {
      awaited = text;
    },
    restore: () => {
      state = 'open';
    },
  };
}

afterAll(() => {
  for (const socket of opened) socket.destroy();
  for (const server of servers) server.close();
});
