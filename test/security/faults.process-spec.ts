import { type ChildProcess, spawn } from 'node:child_process';
import { connect as connectTo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { Revocations } from '../../src/revocation/revocations.js';
import { Account } from '../../src/users/account.js';
import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import {
  bearer,
  call,
  form,
  json,
  logIn,
  newLogin,
  newName,
  PASSWORD,
  register,
  type TokenBody,
} from '../support/client.js';
import { connect } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { withOracle } from '../support/oracle.js';
import { serverEnvironment, type ServerProcess, startServer } from '../support/process.js';
import { until } from '../support/until.js';

const REAL_PARAMETERS = { ARGON2_MEMORY_KIB: '19456', ARGON2_TIME: '2' };
const environment = async () => serverEnvironment(await newDatabase('sqlite'));

/** What asks for it and then sends no more, and the milliseconds until it must be closed. */
const SLOW: [start: string, most: number][] = [
  // Ten seconds for the headers, and up to five until somebody looks.
  ['', 17_000],
  ['GET /health/live HTTP/1.1\r\n', 17_000],
  ['GET / HTTP/1.1\r\nHost: x\r\nX-A: b', 17_000],
  // Thirty for all of it.
  [
    'POST /logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      'Content-Length: 100\r\n\r\n{',
    37_000,
  ],
];

// Opened before everything else in this file, and looked at in its last test: they take their time.
let slow: ServerProcess;
const closed: Promise<[number, number]>[] = [];
beforeAll(async () => {
  slow = await startServer(await environment());
  for (const [start, most] of SLOW) {
    for (let i = 0; i < 10; i++) {
      closed.push(closedAfter(slow.port, start).then((took) => [took, most]));
    }
  }
});
describe('Who sends too slowly', () => {
  it('does not keep others from being served', async () => {
    const { token } = await newLogin(slow);
    expect((await call(slow, '/secure-data', bearer(token))).status).toBe(200);
  });
});

describe('Who asks and does not read the answers', () => {
  it('does not keep others from being served', async () => {
    const server = await startServer(await environment());
    const { token } = await newLogin(server);
    // Far more than the buffers on the way hold.
    const deaf = await Promise.all(
      Array.from({ length: 10 }, () => askUnheard(server.port, '/docs-json', 400)),
    );
    for (let i = 0; i < 20; i++) {
      const startedAt = performance.now();
      expect((await call(server, '/secure-data', bearer(token))).status).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
    // They have not been answered meanwhile, or this would prove nothing.
    expect(deaf.map((socket) => socket.closed)).toEqual(Array(10).fill(false));
    for (const socket of deaf) socket.destroy();
    await server.kill();
  });
});

describe('Clients that go away', () => {
  it('leave nothing behind, at whichever moment they go', async () => {
    const app = await startApp({ environment: { METRICS: 'open', ARGON2_MEMORY_KIB: '4096' } });
    await withOracle(app, async ({ call }) => {
      const user = await newLogin(app);
      const body = new URLSearchParams({ username: user.username, password: user.password });
      const request =
        `POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
        `Content-Length: ${body.toString().length}\r\n\r\n${body.toString()}`;
      const { port } = new URL(app.url);
      for (let round = 0; round < 10; round++) {
        await Promise.all(
          Array.from({ length: 20 }, async (_, i) => {
            const socket = connectTo(Number(port), '127.0.0.1');
            socket.on('error', () => undefined);
            await new Promise((resolve) => socket.once('connect', resolve));
            // Cut in the headers, in the body, or not at all; then gone while it waits or is hashed.
            socket.write(request.slice(0, Math.ceil((request.length * (i + 1)) / 12)));
            await sleep(i * 2);
            if (i % 2) socket.resetAndDestroy();
            else socket.destroy();
          }),
        );
      }
      const waiting = async () =>
        /^latchkey_hash_queue_length (\d+)$/m.exec((await call('/metrics')).text)?.[1];
      await until(waiting, '0', 20_000);
      // No place in the queue, no connection to the database and no attempt is held.
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => call('/token', form({ ...user }))),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
      const { rows } = await sql<{ count: number }>`select count from attempts`.execute(app.db);
      expect(rows.map(({ count }) => count).filter((count) => count !== 0)).toEqual([]);
      expect(app.log()).not.toContain('"level":"error"');
    });
    await app.close();
  });
});

describe('A flood of registrations', () => {
  it('holds up neither logins nor those who are logged in', async () => {
    const server = await startServer({
      ...(await environment()),
      ...REAL_PARAMETERS,
      TRUST_PROXY: '1',
    });
    const user = await newLogin(server);
    const flood = Array.from({ length: 60 }, () =>
      call(server, '/users', from(newAddress(), json({ username: newName(), password: PASSWORD }))),
    );
    const startedAt = performance.now();
    const guarded = Array.from({ length: 20 }, () =>
      call(server, '/secure-data', bearer(user.token)),
    );
    for (const { status } of await Promise.all(guarded)) expect(status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    await logIn(server, user);
    for (const { status } of await Promise.all(flood)) expect([201, 503]).toContain(status);
    await server.kill();
  });
});

describe('A log that nobody reads', () => {
  it.each([
    ['is full', (child: ChildProcess) => child.stdout!.pause()],
    ['was closed', (child: ChildProcess) => child.stdout!.destroy()],
  ])('and that %s, stops no request and no stop', async (_, stopReading) => {
    const { child, url } = await startUnread({ ...(await environment()), LOG_LEVEL: 'info' });
    stopReading(child);
    const user = await newLogin({ url });
    // More than the pipe and the reader's buffer hold.
    for (let round = 0; round < 10; round++) {
      expect(await pipelined(url, 400)).toBe(400);
    }
    expect((await call({ url }, '/secure-data', bearer(user.token))).status).toBe(200);
    await logIn({ url }, user);
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await Promise.race([ended, sleep(8000, 'still running', { ref: false })])).toBe(0);
  });
});

describe('A fault that nobody catches', () => {
  const hook = new URL('../support/fault-on-signal.js', import.meta.url).href;

  it.each(['uncaughtException', 'unhandledRejection'])(
    'is logged and ends the process, which starts anew: %s',
    async (fault) => {
      const settings = await environment();
      const server = await startServer({
        ...settings,
        NODE_OPTIONS: `--import=${hook}`,
        FAULT: fault,
      });
      const user = await newLogin(server);
      expect(await server.kill('SIGUSR2')).toEqual({ code: 1, signal: null });
      const last = server.stdout().trim().split('\n').at(-1)!;
      expect(JSON.parse(last)).toMatchObject({
        level: 'fatal',
        msg: fault,
        fault: expect.stringContaining('a fault that nobody catches'),
      });
      expect(server.stdout()).not.toContain(user.password);
      const next = await startServer(settings);
      expect((await call(next, '/secure-data', bearer(user.token))).status).toBe(200);
      await next.kill();
    },
  );
});

describe('A process that is killed again and again while users register and log in', () => {
  it('loses nobody who was told so, and leaves nobody half there', async () => {
    const url = await newDatabase('sqlite');
    const told: string[] = [];
    for (let round = 0; round < 3; round++) {
      const server = await startServer({ DATABASE_URL: url });
      const clients = Array.from({ length: 8 }, async () => {
        for (;;) {
          const user = { username: newName(), password: PASSWORD };
          const made = await call(server, '/users', json(user)).catch(() => undefined);
          if (made === undefined) return;
          if (made.status === 201) told.push(user.username);
          await call(server, '/token', form(user)).catch(() => undefined);
        }
      });
      await sleep(150 + round * 70);
      await server.kill('SIGKILL');
      await Promise.all(clients);
    }
    const server = await startServer({ DATABASE_URL: url });
    const db = connect(url);
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db);
    expect(rows).toEqual([{ integrity_check: 'ok' }]);
    const users = await db.selectFrom('users').select(['id', 'username']).execute();
    expect(users.map(({ username }) => username)).toEqual(expect.arrayContaining(told));
    const created = await db
      .selectFrom('audit')
      .select('user_id')
      .where('event', '=', 'user_created')
      .execute();
    expect(created.map(({ user_id }) => user_id).sort()).toEqual(users.map(({ id }) => id).sort());
    const sessions = await db.selectFrom('sessions').select('id').execute();
    const logins = await db
      .selectFrom('audit')
      .select('session_id')
      .where('event', '=', 'authn_login_success')
      .execute();
    expect(logins.map(({ session_id }) => session_id).sort()).toEqual(
      sessions.map(({ id }) => id).sort(),
    );
    await server.kill();
  });
});

describe('A clock that is moved', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startApp();
    await app.advance(2 * 86_400); // the keys are older than any jump
  });
  afterEach(() => app.close());

  it('back by more than clocks may differ is told to the operator, once', async () => {
    const warning = /The clock went back by 30 s/g;
    for (const seconds of [3600, -4, -30, 0]) {
      app.clock.step(seconds);
      await app.advance(0);
    }
    expect(app.log().match(warning)).toHaveLength(1);
  });

  it('is not taken for one when the revocations were slow to come', async () => {
    const revocations = app.nest.get(Revocations, { strict: false });
    const slow = revocations.refresh();
    app.clock.advance(6);
    await slow;
    await revocations.refresh();
    expect(app.log()).not.toContain('The clock went back');
    await app.db
      .insertInto('revocations')
      .values({ kind: 'jti', subject: 'x', gen: null, sid: null, expires_at: 1 })
      .execute();
    await app.advance(61);
    const kept = async () => (await app.db.selectFrom('revocations').select('id').execute()).length;
    await until(kept, 0, 2_000);
  });

  it.each([
    ['back an hour', -3600],
    ['back a day', -86_400],
    ['forward an hour', 3600],
    ['forward a day', 86_400],
  ])('%s, and back to the right time, locks nobody out and revives nothing', async (_, jump) => {
    await withOracle(app, async ({ call }) => {
      const user = await newLogin(app);
      const gone = await newLogin(app);
      await app.nest.get(Account, { strict: false }).delete(gone.id, { id: 'cli' });
      for (const seconds of [jump, -jump]) {
        await app.advance(seconds);
        const { status, body } = await call<TokenBody>('/token', form({ ...user }));
        expect([status, body.expires_in]).toEqual([200, 1800]);
        expect((await call('/users/me', bearer(body.access_token))).status).toBe(200);
        expect((await call('/users/me', bearer(gone.token))).status).toBe(401);
      }
      expect((await call('/users/me', bearer(user.token))).status).toBe(200);
      // By the clock that is right now, the token lives exactly as long as it was meant to.
      await app.advance(1800 + 5);
      expect((await call('/users/me', bearer(user.token))).body['code']).toBe('token_expired');
    });
  });

  it('a second back, again and again, lets tokens through all the while', async () => {
    const user = await register(app);
    for (let i = 0; i < 30; i++) {
      const token = await logIn(app, user);
      await app.advance(-1);
      expect((await call(app, '/users/me', bearer(token))).status).toBe(200);
    }
  });
});

describe('Who sends too slowly, and went on for as long as all of this took,', () => {
  it('is closed when the time is over', async () => {
    const times = await Promise.all(closed);
    expect(times).toHaveLength(40);
    expect(times.filter(([took, most]) => took < 9_000 || took > most)).toEqual([]);
    await slow.kill();
  });
});

/** @returns the milliseconds after which the server closes a connection that says only this */
function closedAfter(port: number, start: string): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const socket: Socket = connectTo(port, '127.0.0.1', () => socket.write(start));
    socket.on('data', () => undefined);
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(performance.now() - startedAt));
  });
}

/** Asks so many times on one connection, and reads nothing. */
function askUnheard(port: number, path: string, count: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTo(port, '127.0.0.1');
    socket.pause();
    socket.on('error', reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(count), () => resolve(socket));
  });
}

/** A server of which standard output is a pipe that the test need not read. */
async function startUnread(
  settings: Record<string, string>,
): Promise<{ child: ChildProcess; url: string }> {
  const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], {
    cwd: tmpdir(),
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'test',
      PORT: '0',
      ISSUER: 'http://localhost:3000',
      ARGON2_MEMORY_KIB: '64',
      ARGON2_TIME: '1',
      ...settings,
    },
  });
  unread.add(child);
  const port = await new Promise<string>((resolve) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const found = /listens on http:\/\/localhost:(\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  return { child, url: `http://127.0.0.1:${port}` };
}

const unread = new Set<ChildProcess>();
afterAll(() => {
  for (const child of unread) child.kill('SIGKILL');
});

/** Asks so many times on one connection, without waiting. @returns how many were answered 200 */
function pipelined(url: string, count: number): Promise<number> {
  return new Promise((resolve) => {
    let answers = '';
    const socket = connectTo(Number(new URL(url).port), '127.0.0.1', () => {
      const request = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n';
      socket.write(
        request.repeat(count - 1) + request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
      );
    });
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()));
    socket.on('close', () => resolve(answers.match(/HTTP\/1\.1 200/g)?.length ?? 0));
  });
}
