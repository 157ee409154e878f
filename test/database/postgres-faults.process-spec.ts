import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.js';
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
import { connect } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { serverEnvironment, type ServerProcess, startServer } from '../support/process.js';
import { startProxy } from '../support/proxy.js';
import { until } from '../support/until.js';

const STALENESS = 5_000;

const guarded = async (server: ServerProcess, token: string): Promise<number> =>
  (await call(server, '/secure-data', bearer(token))).status;

const logIn = (
  server: ServerProcess,
  { username, password }: Pick<Login, 'username' | 'password'>,
): Promise<Answer> => call(server, '/token', form({ username, password }));

type Login = Awaited<ReturnType<typeof newLogin>>;

function expectTryAgain({ status, headers, body }: Answer<object>): void {
  expect([status, body]).toMatchObject([
    503,
    { error: 'temporarily_unavailable', code: 'database_unavailable' },
  ]);
  expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
}

/** Ends all connections to the database but this one. @returns how many there were */
async function endConnections(db: Database): Promise<number> {
  const { rows } = await sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
  `.execute(db);
  return rows.length;
}

describe('PostgreSQL', () => {
  it.concurrent(
    'may end every connection: each costs one request at most, and then all is well',
    async () => {
      const url = await newDatabase('postgres');
      const server = await startServer(serverEnvironment(url));
      const login = await newLogin(server);
      // Several idle connections, as after some load.
      await Promise.all(Array.from({ length: 8 }, () => logIn(server, login)));

      const ended = await endConnections(connect(url));
      expect(ended).toBeGreaterThan(1);

      const logins = async () => {
        const answers: Answer[] = [];
        for (let i = 0; i < 12; i++) answers.push(await logIn(server, login));
        return answers.filter(({ status }) => status !== 200);
      };
      // They end one after the other, while these requests come in.
      const failed = await logins();
      failed.forEach(expectTryAgain);
      expect(failed.length).toBeLessThanOrEqual(ended);
      expect(await logins()).toEqual([]);
      expect((await call(server, '/health/ready')).status).toBe(200);
      await server.kill();
    },
  );

  it.concurrent(
    'may be away: tokens hold until what is revoked is unknown, logins wait, and all comes back',
    async () => {
      const proxy = await startProxy(await newDatabase('postgres'));
      const server = await startServer({
        ...serverEnvironment(proxy.url),
        REVOCATION_MAX_STALENESS: `${STALENESS / 1000}s`,
      });
      const seen = await newLogin(server);
      const unseen = await newLogin(server);
      expect(await guarded(server, seen.token)).toBe(200);

      proxy.cut();
      const cutAt = performance.now();
      expect(await guarded(server, seen.token)).toBe(200);
      expect(await guarded(server, unseen.token)).toBe(200);
      expectTryAgain(await logIn(server, seen));
      expectTryAgain(
        await call(server, '/users', json({ username: newName(), password: seen.password })),
      );
      expect((await call(server, '/health/ready')).status).toBe(503);
      expect((await call(server, '/health/live')).status).toBe(200);

      await sleep(STALENESS - 2_000 - (performance.now() - cutAt));
      expect(await guarded(server, seen.token)).toBe(200);
      await until(() => guarded(server, seen.token), 503, 4_000);
      const stale = await call(server, '/secure-data', bearer(unseen.token));
      expect([stale.status, stale.body['code']]).toEqual([503, 'state_stale']);
      expect(stale.headers.get('retry-after')).toBe('1');

      proxy.restore();
      await until(() => guarded(server, seen.token), 200, 5_000);
      expect((await logIn(server, seen)).status).toBe(200);
      expect((await call(server, '/health/ready')).status).toBe(200);
      await server.kill();
    },
  );

  it.concurrent(
    'may fall silent: what waits is given up, and the next connection is a new one',
    async () => {
      const proxy = await startProxy(await newDatabase('postgres'));
      const server = await startServer({
        ...serverEnvironment(proxy.url),
        REVOCATION_MAX_STALENESS: `${STALENESS / 1000}s`,
      });
      const login = await newLogin(server);
      proxy.silence();
      // Far more than there are connections.
      const silentAt = performance.now();
      const waiting = Array.from({ length: 60 }, async () => {
        const answer = await logIn(server, login);
        return { answer, took: performance.now() - silentAt };
      });
      expect(await guarded(server, login.token)).toBe(200);
      const waited = await Promise.all(waiting);
      for (const { answer } of waited) expectTryAgain(answer);
      // Two seconds for a connection, or five for a statement and one for its answer.
      expect(Math.max(...waited.map(({ took }) => took))).toBeLessThan(8_000);

      proxy.restore();
      await until(() => guarded(server, login.token), 200, 7_000);
      await until(async () => (await logIn(server, login)).status, 200, 7_000);
      await server.kill();
    },
  );

  it.concurrent(
    'may lose the answer to a commit: it is told as a failure, and to try again is safe',
    async () => {
      const url = await newDatabase('postgres');
      const db = connect(url);
      const proxy = await startProxy(url);
      const server = await startServer(serverEnvironment(proxy.url));
      const registration = json({ username: newName(), password: PASSWORD });
      proxy.loseCommitOf('insert into "users"');
      expectTryAgain(await call(server, '/users', registration));
      expect((await call(server, '/users', registration)).status).toBe(409);
      expect(await db.selectFrom('users').select('id').execute()).toHaveLength(1);

      const user = await register(server);
      const session = await openSession(server, user);
      proxy.loseCommitOf('update "sessions"');
      expectTryAgain(await refresh(server, session.refresh_token));
      const next = await refresh(server, session.refresh_token);
      expect(next.status).toBe(200);
      expect((await refresh(server, next.body.refresh_token)).status).toBe(200);

      const changed = { ...user, password: 'nine slow herons at dawn' };
      const change = { current_password: user.password, new_password: changed.password };
      proxy.loseCommitOf('authn_password_change');
      expectTryAgain(
        await call(server, '/users/me/password', bearer(next.body.access_token, json(change))),
      );
      // It was committed, and not told: the new one it is, and never both or none.
      expect((await logIn(server, user)).status).toBe(401);
      expect((await logIn(server, changed)).status).toBe(200);

      const events = await db.selectFrom('audit').select('event').execute();
      const count = (name: string) => events.filter(({ event }) => event === name).length;
      expect(count('user_created')).toBe(2);
      expect(count('authn_password_change')).toBe(1);
      expect(count('authn_token_reuse')).toBe(0);
      await server.kill();
    },
  );

  it.concurrent('may have become a standby: writes ask to try again, reads go on', async () => {
    const url = await newDatabase('postgres');
    const server = await startServer(serverEnvironment(url));
    const login = await newLogin(server);
    const db = connect(url);
    const name = sql.id(new URL(url).pathname.slice(1));
    await sql`alter database ${name} set default_transaction_read_only = on`.execute(db);
    await endConnections(db);
    await sleep(500); // the last of them ends
    await until(async () => (await call(server, '/health/ready')).status, 200, 3_000);
    expectTryAgain(await logIn(server, login));
    expect((await call(server, '/users/me', bearer(login.token))).status).toBe(200);
    await server.kill();
  });
});
