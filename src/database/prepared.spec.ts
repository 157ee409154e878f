import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { Database } from './database.js';
import { prepared } from './prepared.js';
import { SqliteDialect } from './sqlite.js';

const directory = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
const db = new Database({
  dialect: new SqliteDialect({ file: join(directory, 'a.db'), directory }),
});
afterAll(() => db.destroy());

interface Values {
  a: number;
  b: string | null;
}

it('A prepared statement is built once, and runs with the values of each run', async () => {
  let built = 0;
  const run = prepared((executor, { a, b }: Values) => {
    built++;
    return executor.selectNoFrom((eb) => [
      eb.val(a).as('a'),
      eb.val(b).as('b'),
      eb.val(a).as('again'),
      eb.val('fixed').as('fixed'),
    ]);
  });
  expect(await run(db, { a: 1, b: 'x' })).toEqual([{ a: 1, b: 'x', again: 1, fixed: 'fixed' }]);
  const inTransaction = db.transaction().execute((trx) => run(trx, { a: 2, b: null }));
  expect(await inTransaction).toEqual([{ a: 2, b: null, again: 2, fixed: 'fixed' }]);
  expect(built).toBe(1);
});

it('A statement that spreads its values, which are not known yet, is refused', async () => {
  const run = prepared((executor, values: Values) =>
    executor.selectNoFrom((eb) => Object.values({ ...values }).map(() => eb.val(1).as('a'))),
  );
  await expect(run(db, { a: 1, b: null })).rejects.toThrow('name each');
});

it('A statement that computes with a value, which is not known yet, is refused', async () => {
  const run = prepared((executor, { a }: Values) =>
    executor.selectNoFrom(sql<number>`${a + 1}`.as('a')),
  );
  await expect(run(db, { a: 1, b: null })).rejects.toThrow('a is not known before');
});
