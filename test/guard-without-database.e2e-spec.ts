import { Controller, Get, UseGuards } from '@nestjs/common';
import { DefaultQueryExecutor } from 'kysely';
import { hashSecret, makeApiToken } from '../src/api-tokens/api-token.js';
import { AuditSealer } from '../src/audit-seals/audit-sealer.js';
import { JwtAuthGuard } from '../src/auth/jwt-auth.guard.js';
import { Keyring } from '../src/keys/keyring.js';
import { Revocations } from '../src/revocation/revocations.js';
import { AccessTokens } from '../src/tokens/access-tokens.js';
import { startApp, type TestApp } from './support/app.js';
import { bearer, call, form, json, logIn, register, send } from './support/client.js';
import { DATABASES } from './support/databases.js';

const ALGORITHMS = {
  HS256: { JWT_SECRET: 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e' },
  ES256: {},
};

const CASES = DATABASES.flatMap((database) =>
  Object.entries(ALGORITHMS).map(([algorithm, environment]) => ({
    database,
    algorithm,
    environment,
  })),
);

let reached = 0;

@Controller('reached')
@UseGuards(JwtAuthGuard)
class ReachedController {
  @Get()
  read(): string {
    reached++;
    return 'reached';
  }
}

describe.each(CASES)('With $algorithm on $database', ({ database, environment }) => {
  let app: TestApp;
  let user: Awaited<ReturnType<typeof register>>;

  beforeAll(async () => {
    reached = 0;
    const module = { controllers: [ReachedController] };
    app = await startApp({ database, environment, module, broken: true });
    // What reads the database in the background would be counted, too.
    await app.nest.get(Revocations, { strict: false }).onApplicationShutdown();
    await app.nest.get(Keyring, { strict: false }).onApplicationShutdown();
    await app.nest.get(AuditSealer, { strict: false }).beforeApplicationShutdown();
    user = await register(app);
  });
  afterAll(() => app.close());

  const guarded = async (token: string): Promise<number> =>
    (await call(app, '/secure-data', bearer(token))).status;

  it('a guarded request executes no statement, with a new token and with one seen before', async () => {
    const tokens = [await logIn(app, user), await logIn(app, user)];
    const statements = await counted(async () => {
      for (const token of tokens) {
        for (let times = 0; times < 3; times++) expect(await guarded(token)).toBe(200);
      }
    });
    expect(statements).toBe(0);
  });

  it('neither does one that is refused', async () => {
    const token = await logIn(app, user);
    const [header, , signature] = token.split('.');
    const statements = await counted(async () => {
      expect(await guarded(`${header}.e30.${signature}`)).toBe(401);
      expect(await guarded('none')).toBe(401);
    });
    expect(statements).toBe(0);
  });

  it('an API token that nobody can have made executes none, and a wrong one as many whatever is wrong', async () => {
    const [real, otherSecret] = [await newApiToken(), await newApiToken()];
    await app.db
      .updateTable('api_tokens')
      .set({ secret_hash: hashSecret('another') })
      .where('id', '=', otherSecret.split('_')[2]!)
      .execute();
    const flawed = real.slice(0, -1) + (real.endsWith('0') ? '1' : '0');
    expect(await statementsOf(flawed)).toEqual({ status: 401, statements: 0 });
    expect(await statementsOf(otherSecret)).toEqual({ status: 401, statements: 1 });
    expect(await statementsOf(makeApiToken().token)).toEqual({ status: 401, statements: 1 });
    expect(await statementsOf(real)).toEqual({ status: 200, statements: 1 });
    expect(await statementsOf(real)).toEqual({ status: 200, statements: 0 });
  });

  it('what fails in the guard in a way that nobody foresaw is 500, and the handler is not reached', async () => {
    const token = await logIn(app, user);
    const tokens = app.nest.get(AccessTokens, { strict: false });
    tokens.accept = () => {
      throw new Error('unforeseen');
    };
    const failed = await send(app, '/reached', bearer(token));
    expect([failed.status, failed.body['code'], reached]).toEqual([500, 'internal', 0]);
    expect(failed.text).not.toContain('unforeseen');
    Reflect.deleteProperty(tokens, 'accept');
    expect((await send(app, '/reached', bearer(token))).status).toBe(200);
    expect(reached).toBe(1);
  });

  it('a login executes some, so that what is counted is what is executed', async () => {
    expect(await counted(() => logIn(app, user))).toBeGreaterThan(3);
  });

  it('when the database is gone, guarded requests are answered, and what was revoked stays so', async () => {
    const [seen, unseen] = [await logIn(app, user), await logIn(app, user)];
    const [seenRevoked, unseenRevoked] = [await logIn(app, user), await logIn(app, user)];
    const [seenApiToken, unseenApiToken] = [await newApiToken(), await newApiToken()];
    for (const token of [seen, seenRevoked, seenApiToken]) expect(await guarded(token)).toBe(200);
    for (const token of [seenRevoked, unseenRevoked]) {
      expect((await call(app, '/revoke', form({ token }))).status).toBe(200);
    }
    await app.db.destroy();
    for (const token of [seen, unseen, seenApiToken]) expect(await guarded(token)).toBe(200);
    for (const token of [seenRevoked, unseenRevoked]) {
      const { status, body } = await call(app, '/secure-data', bearer(token));
      expect([status, body['code']]).toEqual([401, 'token_revoked']);
    }
    const unknown = await send(app, '/secure-data', bearer(unseenApiToken));
    expect(unknown.status).toBeGreaterThanOrEqual(500);
    expect((await send(app, '/users/me', bearer(seen))).status).toBeGreaterThanOrEqual(500);
  });

  const newApiToken = async (): Promise<string> => {
    const init = bearer(await logIn(app, user), json({ name: 'any' }));
    return (await call<{ token: string }>(app, '/api-tokens', init)).body.token;
  };

  const statementsOf = async (token: string): Promise<{ status: number; statements: number }> => {
    let status = 0;
    const statements = await counted(async () => {
      status = await guarded(token);
    });
    return { status, statements };
  };
});

/** How many statements are executed while something is done, in transactions and outside of them. */
async function counted(work: () => Promise<unknown>): Promise<number> {
  const prototype = Object.getPrototypeOf(DefaultQueryExecutor.prototype) as {
    executeQuery: (...parameters: unknown[]) => Promise<unknown>;
  };
  const { executeQuery } = prototype;
  let count = 0;
  prototype.executeQuery = function (...parameters) {
    count++;
    return executeQuery.apply(this, parameters);
  };
  try {
    await work();
  } finally {
    prototype.executeQuery = executeQuery;
  }
  return count;
}
