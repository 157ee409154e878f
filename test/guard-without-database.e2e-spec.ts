import { DefaultQueryExecutor } from 'kysely';
import { Keyring } from '../src/keys/keyring.js';
import { Revocations } from '../src/revocation/revocations.js';
import { startApp, type TestApp } from './support/app.js';
import { bearer, call, logIn, register } from './support/client.js';
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

describe.each(CASES)('With $algorithm on $database', ({ database, environment }) => {
  let app: TestApp;
  let user: Awaited<ReturnType<typeof register>>;

  beforeAll(async () => {
    app = await startApp({ database, environment });
    // What reads the database in the background would be counted, too.
    app.nest.get(Revocations, { strict: false }).onModuleDestroy();
    app.nest.get(Keyring, { strict: false }).onModuleDestroy();
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

  it('a login executes some, so that what is counted is what is executed', async () => {
    expect(await counted(() => logIn(app, user))).toBeGreaterThan(3);
  });

  it('guarded requests are answered when the database is gone', async () => {
    const [seen, unseen] = [await logIn(app, user), await logIn(app, user)];
    expect(await guarded(seen)).toBe(200);
    await app.db.destroy();
    expect([await guarded(seen), await guarded(unseen)]).toEqual([200, 200]);
    expect((await call(app, '/users/me', bearer(seen))).status).toBeGreaterThanOrEqual(500);
  });
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
