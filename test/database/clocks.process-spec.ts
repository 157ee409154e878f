import type { Database } from '../../src/database/database.js';
import { sql } from 'kysely';
import { bearer, call, form, openSession, refresh, register } from '../support/client.js';
import { connect } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { serverEnvironment, type ServerProcess, startServer } from '../support/process.js';
import { until } from '../support/until.js';

const HOOK = new URL('../support/clock-ahead.js', import.meta.url).href;

const startAhead = (url: string, milliseconds: number): Promise<ServerProcess> =>
  startServer({
    ...serverEnvironment(url),
    NODE_OPTIONS: `--import=${HOOK}`,
    CLOCK_AHEAD: String(milliseconds),
  });

const guarded = async (server: ServerProcess, token: string): Promise<unknown> => {
  const { status, body } = await call(server, '/secure-data', bearer(token));
  return status === 200 ? 200 : body['code'];
};

describe.each([
  { what: '30 s ahead', ahead: 30_000 },
  { what: '30 s behind', ahead: -30_000 },
])('On PostgreSQL, a server whose clock is $what', ({ ahead }) => {
  let url: string;
  let db: Database;
  let wrong: ServerProcess;
  let right: ServerProcess;

  beforeAll(async () => {
    url = await newDatabase('postgres');
    db = connect(url);
    // The first keys are made by the wrong clock.
    wrong = await startAhead(url, ahead);
    right = await startServer(serverEnvironment(url));
  });
  afterAll(() => Promise.all([wrong.kill(), right.kill()]));

  const both = () => [
    { here: wrong, there: right },
    { here: right, there: wrong },
  ];

  it('issues by the time of the database, and each of the two takes the tokens of the other', async () => {
    const user = await register(wrong);
    for (const { here, there } of both()) {
      const session = await openSession(here, user);
      expect(Math.abs(iat(session.access_token) - (await databaseTime(db)))).toBeLessThan(2);
      for (const server of [there, here]) {
        expect(await guarded(server, session.access_token)).toBe(200);
      }
      const next = await refresh(there, session.refresh_token);
      expect([next.status, next.body.expires_in]).toEqual([200, 1800]);
      expect(Math.abs(iat(next.body.access_token) - (await databaseTime(db)))).toBeLessThan(2);
      expect(await guarded(here, next.body.access_token)).toBe(200);
      // The reuse interval is the same for both.
      const again = await refresh(here, session.refresh_token);
      expect(again.body.refresh_token).toBe(next.body.refresh_token);
    }
  });

  it('revokes for the other, and hears of what the other revokes', async () => {
    const user = await register(right);
    for (const { here, there } of both()) {
      const session = await openSession(here, user);
      expect(await guarded(there, session.access_token)).toBe(200);
      const end = form({ refresh_token: session.refresh_token });
      expect((await call(here, '/logout', end)).status).toBe(204);
      expect(await guarded(here, session.access_token)).toBe('token_revoked');
      await until(() => guarded(there, session.access_token), 'token_revoked', 10_000);
    }
  });
});

function iat(token: string): number {
  const claims = Buffer.from(token.split('.')[1]!, 'base64url').toString();
  return (JSON.parse(claims) as { iat: number }).iat;
}

/** Epoch seconds. */
async function databaseTime(db: Database): Promise<number> {
  const { rows } = await sql<{ now: number }>`
    select extract(epoch from clock_timestamp())::float8 as now
  `.execute(db);
  return rows[0]!.now;
}
