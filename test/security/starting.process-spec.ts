import { connect as connectTo } from 'node:net';
import { sql } from 'kysely';
import { startApp } from '../support/app.js';
import { call, form, json } from '../support/client.js';
import { connect } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { refusedStart, serverEnvironment, startServer } from '../support/process.js';
import { expectSound } from '../support/sound-answer.js';

/** Outside of tests there are no others below these. */
const REAL_PARAMETERS = { ARGON2_MEMORY_KIB: '19456', ARGON2_TIME: '2' };

it.each(['', 'development', 'production'])(
  'NODE_ENV=%s shows no stack, allows no origin, and knows no user',
  async (NODE_ENV) => {
    const url = await newDatabase('sqlite');
    const server = await startServer({ DATABASE_URL: url, NODE_ENV, ...REAL_PARAMETERS });
    const asked: [string, RequestInit][] = [
      ['/users', json('{')],
      ['/nothing', {}],
      ['/users/me', { headers: { origin: 'https://evil.example' } }],
      ['/token', form({ username: 'admin', password: 'admin' })],
      ['/token', form({ username: 'alice', password: 'quiet river under seven moons' })],
    ];
    for (const [path, init] of asked) {
      const answer = await call(server, path, init);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expectSound({ method: init.method ?? 'GET', path, init }, answer);
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    }
    expect(await connect(url).selectFrom('users').selectAll().execute()).toEqual([]);
    await server.kill();
  },
);

it('A weaker hash than OWASP’s floor is refused wherever it is not a test', async () => {
  for (const NODE_ENV of ['', 'development', 'production']) {
    const { code, stderr } = await refusedStart({
      ...serverEnvironment(await newDatabase('sqlite')),
      NODE_ENV,
    });
    expect([code, stderr]).toEqual([1, expect.stringContaining('ARGON2_MEMORY_KIB')]);
  }
});

it('Only the machine itself can connect, unless somebody says otherwise', async () => {
  const server = await startServer(serverEnvironment(await newDatabase('sqlite')));
  const reached = (host: string) =>
    new Promise((resolve) => {
      const socket = connectTo(server.port, host, () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
  expect(await reached('127.0.0.1')).toBe(true);
  // Another address of this machine stands for all that are not the one it listens on.
  expect(await reached('127.0.0.2')).toBe(false);
  await server.kill();
});

it('The database file is used as what must not be lost: WAL, synced at each commit, with its keys', async () => {
  const app = await startApp();
  const read = async (name: string) => {
    const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(app.db);
    return Object.values(rows[0]!)[0];
  };
  expect(await read('journal_mode')).toBe('wal');
  expect(await read('synchronous')).toBe(2);
  expect(await read('foreign_keys')).toBe(1);
  await app.close();
});
