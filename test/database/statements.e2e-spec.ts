import { CompiledQuery, DefaultQueryCompiler } from 'kysely';
import { AuditLog } from '../../src/audit/audit-log.js';
import { Users } from '../../src/users/users.js';
import { startApp, type TestApp } from '../support/app.js';
import { logIn, register } from '../support/client.js';
import { DATABASES } from '../support/databases.js';

const { compileQuery } = DefaultQueryCompiler.prototype;
afterAll(() => (DefaultQueryCompiler.prototype.compileQuery = compileQuery));

/** What is compiled from now on and matches. */
function compiled(matches: (sql: string) => boolean): CompiledQuery[] {
  const queries: CompiledQuery[] = [];
  DefaultQueryCompiler.prototype.compileQuery = function (...query) {
    const result = compileQuery.apply(this, query);
    if (matches(result.sql)) queries.push(result);
    return result;
  };
  return queries;
}

describe.each(DATABASES)('On %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database });
  });
  afterAll(() => app.close());

  it('the statements of a login are built by the first one, and run by every other', async () => {
    const user = await register(app);
    const builtByALogin = async () => {
      // What is polled in between only reads, but for the sealer.
      const queries = compiled((sql) => sql.startsWith('insert') && !sql.includes('audit_seals'));
      await logIn(app, user);
      return queries.map(({ sql }) => sql);
    };
    expect((await builtByALogin()).length).toBeGreaterThan(3);
    await app.advance(1);
    expect(await builtByALogin()).toEqual([]);
  });

  const log = () => app.nest.get(AuditLog, { strict: false });
  const LISTS: [string, string, () => Promise<unknown>][] = [
    [
      'users',
      database === 'postgres' ? 'users_by_name' : 'users',
      () => app.nest.get(Users, { strict: false }).list(9, 'bob', 'b'),
    ],
    ['audit', 'audit_event', () => log().read({ event: 'x', before: 9, limit: 9 })],
  ];
  // Of so few rows PostgreSQL would rather read all, from the other end.
  if (database === 'sqlite') {
    LISTS.push(['audit', 'audit_at', () => log().read({ since: 1, until: 9, limit: 9 })]);
  }

  it.each(LISTS)('a page of %s is found by the index %s', async (table, index, list) => {
    const queries = compiled((sql) => new RegExp(`from "${table}" .*limit`).test(sql));
    await list();
    const [query] = queries;
    const plan = await app.db.transaction().execute(async (trx) => {
      const run = (sql: string, parameters: readonly unknown[] = []) =>
        trx.executeQuery(CompiledQuery.raw(sql, [...parameters]));
      // Of a handful of rows PostgreSQL would rather read and sort all.
      const others = database === 'postgres' ? ['seqscan', 'bitmapscan', 'sort'] : [];
      for (const other of others) await run(`set local enable_${other} = off`);
      const how = database === 'postgres' ? 'explain' : 'explain query plan';
      return JSON.stringify((await run(`${how} ${query!.sql}`, query!.parameters)).rows);
    });
    expect(plan).toContain(index);
    if (table === 'users') expect(plan).not.toMatch(/sort|TEMP B-TREE|SCAN users/i);
  });
});
