import { createServer, type Server } from 'node:http';

/** Stands where services look for Latchkey, and can come between them and the feed. */
export interface Front {
  /** The issuer's address. */
  url: string;
  /** Sends everything on to this server. */
  serve: (target: string) => void;
  /** While it is set, this is the feed, whatever the server says. */
  feed: string | undefined;
  /** While it is set, who asks for the feed is never answered. */
  silent: boolean;
  /** What was asked for and answered: `/revocations 304`. */
  seen: string[];
}

const servers = new Set<Server>();

export async function startFront(): Promise<Front> {
  const front: Front = {
    url: '',
    serve: (to) => (target = to),
    feed: undefined,
    silent: false,
    seen: [],
  };
  let target = '';
  let forged = 0;
  const server = createServer((request, response) => {
    const { url: path = '', headers } = request;
    const send = (status: number, body: string, etag?: string | null) => {
      front.seen.push(`${path} ${status}`);
      response.writeHead(status, etag == null ? {} : { etag }).end(body);
    };
    if (path === '/revocations' && front.silent) return;
    if (path === '/revocations' && front.feed !== undefined) {
      send(200, front.feed, `"forged-${forged++}"`);
      return;
    }
    const known = headers['if-none-match'];
    fetch(target + path, { headers: known === undefined ? {} : { 'if-none-match': known } })
      .then(async (answer) => send(answer.status, await answer.text(), answer.headers.get('etag')))
      .catch(() => send(502, ''));
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  front.url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  return front;
}

afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});
