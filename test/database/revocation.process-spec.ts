import { setTimeout as sleep } from 'node:timers/promises';
import type { Insertable } from 'kysely';
import type { Database } from '../../src/database/database.js';
import type { RevocationsTable } from '../../src/database/schema.js';
import { type Answer, bearer, call, json, logIn, newLogin, register } from '../support/client.js';
import { connect } from '../support/connection.js';
import { DATABASES, newDatabase } from '../support/databases.js';
import { serverEnvironment, type ServerProcess, startServer } from '../support/process.js';
import { until } from '../support/until.js';

/** About a second, on a machine that has more to do: the poll is due every 500 ms. */
const SOON = 2_000;

interface Claims {
  jti: string;
  sid: string;
  sub: string;
  gen: number;
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Claims;

const row = (kind: RevocationsTable['kind'], subject: string, gen: number | null = null) => ({
  kind,
  subject,
  gen,
  expires_at: Date.now() + 3_600_000,
});

const write = (db: Database, rows: Insertable<RevocationsTable>[]) =>
  db.insertInto('revocations').values(rows).execute();

describe.each(DATABASES)('A revocation that another process writes, on %s', (kind) => {
  let url: string;
  let server: ServerProcess;
  let other: Database;

  beforeAll(async () => {
    url = await newDatabase(kind);
    server = await startServer(serverEnvironment(url));
    other = connect(url);
  });

  const guarded = (token: string): Promise<Answer> => call(server, '/secure-data', bearer(token));
  const code = async (token: string) => (await guarded(token)).body['code'];

  it('binds within about a second, for exactly the tokens it names, and from the first request of a start', async () => {
    const login = async () => claimed((await newLogin(server)).token);
    const [byToken, bySession, byUser, sameGeneration, bystander] = [
      await login(),
      await login(),
      await login(),
      await login(),
      await login(),
    ];
    const revoked = [byToken, bySession, byUser];
    const alive = [sameGeneration, bystander];
    for (const { token } of [...revoked, ...alive]) {
      expect((await guarded(token)).status).toBe(200);
    }

    await write(other, [
      row('jti', byToken.jti),
      row('sid', bySession.sid),
      row('sub', byUser.sub, byUser.gen + 1),
      // Only older generations are meant.
      row('sub', sameGeneration.sub, sameGeneration.gen),
    ]);
    for (const { token } of revoked) await until(() => code(token), 'token_revoked', SOON);
    for (const { token } of alive) expect((await guarded(token)).status).toBe(200);

    await server.kill();
    server = await startServer(serverEnvironment(url));
    for (const { token } of revoked) {
      const { status, body } = await guarded(token);
      expect([status, body]).toMatchObject([401, { code: 'token_revoked' }]);
    }
    for (const { token } of alive) expect((await guarded(token)).status).toBe(200);
  });

  it('is not missed when it is written anew after old ones were pruned', async () => {
    const login = claimed((await newLogin(server)).token);
    await other.deleteFrom('revocations').execute();
    await write(other, [row('sid', login.sid)]);
    await until(() => code(login.token), 'token_revoked', SOON);
  });

  it('binds for an API token that it remembers, however the token came to its end', async () => {
    const another = await startServer(serverEnvironment(url));
    const admin = await register(server);
    await other.updateTable('users').set({ roles: 'admin' }).where('id', '=', admin.id).execute();
    const adminToken = await logIn(server, admin);
    const user = (path: string, init: RequestInit) =>
      call(server, `/admin/users/${path}`, bearer(adminToken, init));
    const ends: Record<string, (owner: Owner) => Promise<Answer>> = {
      'it alone': ({ token, id }) =>
        call(server, `/api-tokens/${id}`, bearer(token, { method: 'DELETE' })),
      'all of its owner': ({ token }) =>
        call(server, '/api-tokens', bearer(token, { method: 'DELETE' })),
      'its owner, disabled': ({ userId }) => user(userId, json({ disabled: true }, 'PATCH')),
      'its owner, deleted': ({ userId }) => user(userId, { method: 'DELETE' }),
    };
    const worth = async (token: string) => {
      const { status, body } = await call(another, '/secure-data', bearer(token));
      return status === 200 ? 'good' : `${status} ${String(body['code'])}`;
    };
    for (const [what, end] of Object.entries(ends)) {
      const owner = await newOwner(server);
      expect([what, await worth(owner.apiToken)]).toEqual([what, 'good']);
      expect((await end(owner)).status).toBeLessThan(300);
      await until(() => worth(owner.apiToken), '401 token_revoked', SOON);
    }
    await another.kill();
  });

  if (kind === 'postgres') {
    it('is not missed when its transaction began first and is committed last', async () => {
      const slow = claimed((await newLogin(server)).token);
      const quick = claimed((await newLogin(server)).token);
      const later = claimed((await newLogin(server)).token);

      await other.transaction().execute(async (trx) => {
        await write(trx, [row('sid', slow.sid)]);
        await write(connect(url), [row('sid', quick.sid)]);
        await until(() => code(quick.token), 'token_revoked', SOON);
        // Several polls see the later id and transaction, and not this one.
        await sleep(1_200);
        await write(connect(url), [row('sid', later.sid)]);
        await until(() => code(later.token), 'token_revoked', SOON);
        expect((await guarded(slow.token)).status).toBe(200);
      });
      await until(() => code(slow.token), 'token_revoked', SOON);
    });
  }
});

/** A new user with an API token, and what ends it. */
interface Owner {
  userId: string;
  token: string;
  id: string;
  apiToken: string;
}

async function newOwner(server: ServerProcess): Promise<Owner> {
  const { id: userId, token } = await newLogin(server);
  const init = bearer(token, json({ name: 'any' }));
  const { body } = await call<{ id: string; token: string }>(server, '/api-tokens', init);
  return { userId, token, id: body.id, apiToken: body.token };
}

const claimed = (token: string) => ({ token, ...claimsOf(token) });
