import { sql } from 'kysely';
import type { Database, Executor } from '../../src/database/database.js';
import { unflushed } from '../../src/database/unflushed.js';
import { connect } from '../support/connection.js';
import { DATABASES, newDatabase } from '../support/databases.js';

const SETTING = { sqlite: sql`pragma synchronous`, postgres: sql`show synchronous_commit` };
const WAITS = { sqlite: 2, postgres: 'on' };
const DOES_NOT_WAIT = { sqlite: 1, postgres: 'off' };

describe.each(DATABASES)('A transaction that does not wait for the disk, on %s', (kind) => {
  let db: Database;
  beforeAll(async () => {
    db = connect(await newDatabase(kind));
    await sql`create table numbers (n integer)`.execute(db);
  });

  async function setting(executor: Executor): Promise<unknown> {
    const { rows } = await SETTING[kind].execute(executor);
    return Object.values(rows[0] as object)[0];
  }

  const insert = (n: number) =>
    unflushed(db, async (trx) => {
      await sql`insert into numbers values (${n})`.execute(trx);
      if (n < 0) throw new Error('There are none below 0');
      return setting(trx);
    });

  const numbers = async () =>
    (await sql<{ n: number }>`select n from numbers`.execute(db)).rows.map(({ n }) => n);

  it('is committed as a whole or not at all, and the next one waits again', async () => {
    for (let n = 1; n <= 3; n++) {
      expect(await insert(n)).toBe(DOES_NOT_WAIT[kind]);
      expect(await setting(db)).toBe(WAITS[kind]);
      await expect(insert(-n)).rejects.toThrow('none below 0');
      expect(await setting(db)).toBe(WAITS[kind]);
    }
    expect(await numbers()).toEqual([1, 2, 3]);
  });

  it('does not change what others wait for that run beside it', async () => {
    const others = [1, 2, 3].map(() => db.transaction().execute((trx) => setting(trx)));
    const [, ...settings] = await Promise.all([insert(4), ...others]);
    expect(settings).toEqual([WAITS[kind], WAITS[kind], WAITS[kind]]);
  });
});
