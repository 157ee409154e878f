import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { startApp, type TestApp } from '../support/app.js';
import {
  type Answer,
  bearer,
  call,
  form,
  json,
  newLogin,
  newName,
  openSession,
  PASSWORD,
  refresh,
  register,
} from '../support/client.js';
import { connect, fileOf } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { type ServerProcess, startServer } from '../support/process.js';
import { until } from '../support/until.js';

const registration = () => json({ username: newName(), password: PASSWORD });

describe('A lock that another process holds on the SQLite file', () => {
  let url: string;
  let server: ServerProcess;

  beforeAll(async () => {
    url = await newDatabase('sqlite');
    server = await startServer({ DATABASE_URL: url });
  });

  it('makes writes ask to try again soon, holds up no guarded request, and leaves no trace', async () => {
    const login = await newLogin(server);
    const other = connect(url);
    await sql`begin exclusive`.execute(other);

    const slowest = slowestGuarded(server, login.token);
    const startedAt = performance.now();
    const { username, password } = login;
    const answer = await call(server, '/token', form({ username, password }));
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    expect([answer.status, answer.body]).toMatchObject([
      503,
      { error: 'temporarily_unavailable', code: 'database_unavailable' },
    ]);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await slowest()).toBeLessThan(500);

    await sql`rollback`.execute(other);
    expect((await call(server, '/token', form({ username, password }))).status).toBe(200);
    expect((await call(server, '/health/ready')).status).toBe(200);
  });

  it('makes a write wait that is released in time', async () => {
    const other = connect(url);
    await sql`begin exclusive`.execute(other);
    const waiting = call(server, '/users', registration());
    await sleep(800);
    await sql`rollback`.execute(other);
    expect((await waiting).status).toBe(201);
  });

  it('keeps nobody waiting behind others who wait', async () => {
    const other = connect(url);
    await sql`begin exclusive`.execute(other);
    const startedAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => call(server, '/users', registration())),
    );
    // Two waits at most for each: the look-up of the name, and the write.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(503));
    await sql`rollback`.execute(other);
    expect((await call(server, '/users', registration())).status).toBe(201);
  });
});

describe('kill -9 while many register', () => {
  it('loses nobody who was told that they are registered', async () => {
    const url = await newDatabase('sqlite');
    const server = await startServer({ DATABASE_URL: url });
    const told: string[] = [];
    const clients = Array.from({ length: 4 }, async () => {
      for (;;) {
        const username = newName();
        const body = json({ username, password: PASSWORD });
        const answer = await call(server, '/users', body).catch(() => undefined);
        if (answer === undefined) return;
        if (answer.status === 201) told.push(username);
        if (told.length === 40) void server.kill('SIGKILL');
      }
    });
    await Promise.all(clients);
    expect(told.length).toBeGreaterThanOrEqual(40);

    const next = await startServer({ DATABASE_URL: url });
    const users = await connect(url).selectFrom('users').select('username').execute();
    expect(users.map(({ username }) => username)).toEqual(expect.arrayContaining(told));
    await next.kill();
  });
});

describe('A full disk', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database: 'sqlite' });
  });
  afterAll(() => app.close());

  it('makes registrations ask to try again, and logins and guarded requests work after', async () => {
    const login = await newLogin(app);
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(app.db);
    await sql`pragma max_page_count = ${sql.lit(rows[0]!.page_count)}`.execute(app.db);

    const statuses = new Set<number>();
    for (let i = 0; i < 100 && !statuses.has(503); i++) {
      const { status } = await call(app, '/users', registration());
      statuses.add(status);
    }
    expect([...statuses].sort()).toEqual([201, 503]);
    expect(app.log()).toContain('The database cannot be used: database or disk is full');
    expect((await call(app, '/secure-data', bearer(login.token))).status).toBe(200);

    await sql`pragma max_page_count = 1000000`.execute(app.db);
    await newLogin(app);
  });
});

const PRLIMIT = '/usr/bin/prlimit';
const prlimit = existsSync(PRLIMIT);

describe('A disk that takes no more of a running server', () => {
  const name = 'is told as a failure that passes, again and again, and nothing is lost or damaged';
  const why = prlimit ? '' : ' (skipped: it needs prlimit, of util-linux)';

  (prlimit ? it : it.skip)(name + why, async () => {
    const url = await newDatabase('sqlite');
    const server = await startServer({ DATABASE_URL: url });
    const user = await register(server);
    let session = await openSession(server, user);
    const refreshed = async () => {
      const { status, body } = await refresh(server, session.refresh_token);
      if (status === 200) session = body;
      return status;
    };
    const told = [user.username];
    const refused: string[] = [];
    // No byte more, the middle of a transaction, and one of many that are committed together.
    for (const room of [0, 6_000, 20_000]) {
      limitFiles(server, statSync(`${fileOf(url)}-wal`).size + room);
      const answers = await Promise.all(
        Array.from({ length: 12 }, async () => {
          const username = newName();
          const { status } = await call(server, '/users', json({ username, password: PASSWORD }));
          (status === 201 ? told : refused).push(username);
          return status;
        }),
      );
      expect(answers).toContain(503);
      expect(answers.filter((status) => status !== 201 && status !== 503)).toEqual([]);
      // There is room for a small one, until it is used up.
      await until(refreshed, 503, 10_000);
      const { access_token: token } = session;
      expect(await statusOf(call(server, '/secure-data', bearer(token)))).toBe(200);
      expect(await statusOf(call(server, '/health/live'))).toBe(200);

      limitFiles(server, 'unlimited');
      expect(await refreshed()).toBe(200);
      told.push((await register(server)).username);
    }
    const db = connect(url);
    const users = await db.selectFrom('users').select('username').execute();
    const names = users.map(({ username }) => username);
    expect(names).toEqual(expect.arrayContaining(told));
    expect(names.filter((one) => refused.includes(one))).toEqual([]);
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db);
    expect(rows).toEqual([{ integrity_check: 'ok' }]);
    await server.kill();
  });
});

/** Lets the process make no file larger, as when the disk is full. Node ignores the signal. */
function limitFiles({ pid }: ServerProcess, bytes: number | 'unlimited'): void {
  execFileSync(PRLIMIT, ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
}

const statusOf = async (answer: Promise<Answer>): Promise<number> => (await answer).status;

/** Asks all the time, until it is called. @returns the longest answer time, in milliseconds */
function slowestGuarded(server: ServerProcess, token: string): () => Promise<number> {
  let slowest = 0;
  const enough = new AbortController();
  const loop = (async () => {
    while (!enough.signal.aborted) {
      const startedAt = performance.now();
      const { status } = await call(server, '/secure-data', bearer(token));
      if (status !== 200) throw new Error(`A guarded request was answered ${status}`);
      slowest = Math.max(slowest, performance.now() - startedAt);
      await sleep(20);
    }
  })();
  return async () => {
    enough.abort();
    await loop;
    return slowest;
  };
}
