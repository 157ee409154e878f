// Stands between a server and its PostgreSQL, and cuts what passes through.
import { connect, createServer } from 'node:net';

/** @returns the database's URL through here, and what ends every connection of this moment */
export async function startProxy(databaseUrl) {
  const target = new URL(databaseUrl);
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.port = String(server.address().port);
  const cut = () => {
    const count = sockets.size / 2;
    for (const socket of sockets) socket.destroy();
    return count;
  };
  return {
    url: url.href,
    cut,
    close: () => {
      server.close();
      cut();
    },
  };
}
