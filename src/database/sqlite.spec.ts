import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync } from '@photostructure/sqlite';
import { type Kysely, sql } from 'kysely';
import { Database } from './database.js';
import type { Schema } from './schema.js';
import { SqliteDialect } from './sqlite.js';

const UNAVAILABLE = { error: 'temporarily_unavailable', code: 'database_unavailable' };

let file: string;
let db: Database;

const open = (patience?: number) =>
  new Database({ dialect: new SqliteDialect({ file, directory: join(file, '..'), patience }) });

beforeEach(async () => {
  file = join(mkdtempSync(join(tmpdir(), 'latchkey-test-')), 'new', 'latchkey.db');
  db = open();
  await sql`create table numbers (n, name text)`.execute(db);
});
afterEach(() => db.destroy());

const numbers = async () =>
  (await sql<{ n: unknown }>`select n from numbers`.execute(db)).rows.map(({ n }) => n);

describe('Opening', () => {
  it('makes a folder and files that only the owner can read', () => {
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect(mode(join(file, '..'))).toBe(0o700);
    for (const suffix of ['', '-wal', '-shm']) expect(mode(file + suffix)).toBe(0o600);
  });

  it.each([
    ['journal_mode', 'wal'],
    ['synchronous', 2],
    ['foreign_keys', 1],
  ])('sets %s to %s', async (name, value) => {
    const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(db);
    expect(rows).toEqual([{ [name]: value }]);
  });
});

it('A query finds a column that came since it was asked first, as a migration adds one', async () => {
  await sql`insert into numbers (n) values (1)`.execute(db);
  const all = async () => (await sql`select * from numbers`.execute(db)).rows;
  expect(await all()).toEqual([{ n: 1, name: null }]);
  const other = new DatabaseSync(file);
  other.exec("alter table numbers add column kind text default 'odd'");
  other.close();
  expect(await all()).toEqual([{ n: 1, name: null, kind: 'odd' }]);
});

describe('A parameter', () => {
  it.each([
    ['a text', 'Ωmega'],
    ['an empty text', ''],
    ['a time', 1_767_225_600_123],
    ['null', null],
  ])('that is %s is stored as it is', async (_, value) => {
    await sql`insert into numbers (n) values (${value})`.execute(db);
    expect(await numbers()).toEqual([value]);
  });

  it.each<[string, unknown]>([
    ['a Date', new Date()],
    ['an object', { n: 1 }],
    ['an array', [1]],
    ['a boolean', true],
    ['undefined', undefined],
  ])('that is %s is refused, first or later', async (_, value) => {
    await sql`insert into numbers (n) values (1)`.execute(db);
    const first = sql`update numbers set n = ${value}, name = ${'x'}`.execute(db);
    await expect(first).rejects.toThrow(TypeError);
    const later = sql`update numbers set name = ${'x'}, n = ${value}`.execute(db);
    await expect(later).rejects.toThrow(TypeError);
    expect(await numbers()).toEqual([1]);
  });
});

describe('The one connection', () => {
  it('is not waited for in vain: a query beside the transaction that its caller is in fails', async () => {
    const startedAt = Date.now();
    const attempt = db.transaction().execute(async (trx) => {
      await sql`insert into numbers (n) values (1)`.execute(trx);
      await sql`select 1`.execute(db);
    });
    await expect(attempt).rejects.toMatchObject(UNAVAILABLE);
    expect(Date.now() - startedAt).toBeLessThan(4_000);
    expect(await numbers()).toEqual([]);
  });

  it('is given in the order in which it was asked for', async () => {
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        db.transaction().execute(async (trx) => {
          await sql`insert into numbers (n) values (${n})`.execute(trx);
          order.push(n);
        }),
      ),
    );
    expect(order).toEqual([1, 2, 3, 4]);
  });
});

describe('Transactions that end in one turn of the event loop', () => {
  const insert = (n: number, more: () => unknown = () => undefined) =>
    db.transaction().execute(async (trx) => {
      await sql`insert into numbers (n) values (${n})`.execute(trx);
      await more();
    });

  /** What another process would see at this moment, without waiting for a turn. */
  function committed(): unknown[] {
    const other = new DatabaseSync(file);
    const rows = other.prepare('select n from numbers order by n').all() as { n: unknown }[];
    other.close();
    return rows.map(({ n }) => n);
  }

  it('are committed together, and none is told before', async () => {
    const seen: unknown[][] = [];
    const see = () => void seen.push(committed());
    await Promise.all([insert(1, see).then(see), insert(2, see).then(see), insert(3, see)]);
    expect(seen).toEqual([[], [], [], [1, 2, 3], [1, 2, 3]]);
  });

  it('are undone alone', async () => {
    const fault = new Error('of one of them');
    const all = [
      insert(1),
      insert(2, () => Promise.reject(fault)),
      insert(3),
      sql`select`.execute(db),
      insert(4, () => Promise.reject(fault)),
      insert(5),
    ];
    const outcomes = await Promise.allSettled(all);
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(
      [1, 0, 1, 0, 0, 1].map(Boolean),
    );
    await expect(all[1]).rejects.toBe(fault);
    expect(committed()).toEqual([1, 3, 5]);
  });

  it('are not read by anybody outside before they are committed', async () => {
    const first = insert(1);
    const read = numbers().then((seen) => ({ seen, committed: committed() }));
    await insert(2);
    expect(await read).toEqual({ seen: [1], committed: [1] });
    await first;
  });

  it('wait for the one at work, however long it takes', async () => {
    const told: string[] = [];
    const first = insert(1).then(() => told.push('first'));
    const second = insert(2, async () => {
      await sleep(50);
      told.push('second works');
      expect(committed()).toEqual([]);
    });
    await Promise.all([first, second]);
    expect(told).toEqual(['second works', 'first']);
    expect(committed()).toEqual([1, 2]);
  });

  it('all fail where SQLite undoes all of them', async () => {
    await sql`pragma max_page_count = 20`.execute(db);
    const full = () => sql`insert into numbers (n) values (zeroblob(100000))`;
    const all = [
      insert(1),
      db.transaction().execute(async (trx) => {
        // Whoever goes on after such an error goes nowhere.
        await full()
          .execute(trx)
          .catch(() => undefined);
        await sql`insert into numbers (n) values (2)`.execute(trx);
      }),
    ];
    for (const one of await Promise.allSettled(all)) {
      expect(one).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
    }
    await insert(3);
    expect(committed()).toEqual([3]);
  });

  it('begin anew where SQLite has undone the first of them, which goes on', async () => {
    await sql`pragma max_page_count = 20`.execute(db);
    const all = [
      db
        .transaction()
        .execute((trx) =>
          sql`insert into numbers (n) values (zeroblob(100000))`
            .execute(trx)
            .catch(() => undefined),
        ),
      insert(1),
    ];
    await expect(all[0]).rejects.toMatchObject(UNAVAILABLE);
    await all[1];
    expect(committed()).toEqual([1]);
  });

  it('are committed before it is told what fails because of them', async () => {
    await sql`create unique index numbers_n on numbers (n)`.execute(db);
    const first = insert(1);
    const second = insert(1).catch((error: Error) => ({ error, committed: committed() }));
    expect(await second).toMatchObject({
      error: { message: expect.stringContaining('UNIQUE') as string },
      committed: [1],
    });
    await first;
  });

  it('all fail where their commit does', async () => {
    await sql`create table parts (n references numbers (n) deferrable initially deferred)`.execute(
      db,
    );
    await sql`create unique index numbers_n on numbers (n)`.execute(db);
    const orphan = () =>
      db.transaction().execute((trx) => sql`insert into parts values (7)`.execute(trx));
    for (const { status } of await Promise.allSettled([insert(1), orphan(), insert(2)])) {
      expect(status).toBe('rejected');
    }
    await insert(3);
    expect(committed()).toEqual([3]);
  });

  it('are not joined by one whose connection was asked for more', async () => {
    const later: Promise<unknown>[] = [];
    const connected = db.connection().execute(async (connection) => {
      const insertHere = (n: number) =>
        connection
          .transaction()
          .execute((trx) => sql`insert into numbers (n) values (${n})`.execute(trx));
      await insertHere(2);
      // The connection was others' meanwhile, and is waited for again.
      await sql`pragma synchronous = normal`.execute(connection);
      expect(committed()).toEqual([1, 2, 3]);
      later.push(insert(5));
      await insertHere(4);
      expect(committed()).toEqual([1, 2, 3, 4]);
      await sql`pragma synchronous = full`.execute(connection);
      expect(committed()).toEqual([1, 2, 3, 4]);
    });
    await Promise.all([insert(1), connected, insert(3)]);
    await Promise.all(later);
    expect(committed()).toEqual([1, 2, 3, 4, 5]);
  });

  it('are committed when the program ends, after the one at work', async () => {
    const all = [insert(1), insert(2, () => sleep(50))];
    await sleep(0);
    await db.destroy();
    await Promise.all(all);
    expect(committed()).toEqual([1, 2]);
    db = open();
  });
});

describe('A query that is not awaited', () => {
  const stray = (trx: Kysely<Schema>) => sql`insert into numbers (n) values (7)`.execute(trx);
  const NOT_AWAITED = /not awaited/;

  it('is refused once its transaction has ended, and holds nobody up', async () => {
    let query: Promise<unknown> | undefined;
    await db.transaction().execute(async (trx) => {
      await sql`insert into numbers (n) values (1)`.execute(trx);
      // Before the commit, which is at the end of the turn, and after the transaction's work.
      query = new Promise((resolve) => setImmediate(resolve)).then(() => stray(trx));
      query.catch(() => undefined);
    });
    await expect(query).rejects.toThrow(NOT_AWAITED);
    expect(await numbers()).toEqual([1]);
  });

  it('is refused once its connection was given back', async () => {
    let query: Promise<unknown> | undefined;
    await db.connection().execute(async (connection) => {
      await connection
        .transaction()
        .execute((trx) => sql`insert into numbers (n) values (1)`.execute(trx));
      const busy = db.transaction().execute(() => sleep(50));
      query = stray(connection);
      query.catch(() => undefined);
      void busy;
    });
    await expect(query).rejects.toThrow(NOT_AWAITED);
    expect(await numbers()).toEqual([1]);
  });
});

describe('A lock of another process', () => {
  /** Runs the work while another connection holds the write lock. */
  async function whileLocked(work: () => Promise<void>): Promise<void> {
    const other = open();
    await other.transaction().execute(work);
    await other.destroy();
  }

  it('is waited for without holding up the event loop', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 5);
    let insert: Promise<unknown> | undefined;
    await whileLocked(async () => {
      insert = sql`insert into numbers (n) values (1)`.execute(db);
      await sleep(300);
    });
    await insert;
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
    expect(await numbers()).toEqual([1]);
  });

  it('ends in unavailability after so long, for all who wait', async () => {
    const impatient = open(300);
    await whileLocked(async () => {
      const inserts = Array.from({ length: 10 }, () =>
        sql`insert into numbers (n) values (1)`.execute(impatient),
      );
      for (const { status } of await Promise.allSettled(inserts)) expect(status).toBe('rejected');
      await expect(inserts[9]).rejects.toMatchObject(UNAVAILABLE);
    });
    await sql`insert into numbers (n) values (2)`.execute(impatient);
    expect(await numbers()).toEqual([2]);
    await impatient.destroy();
  });

  it('is not waited for anew by who has waited for the connection already', async () => {
    const impatient = open(1_000);
    const insert = () => sql`insert into numbers (n) values (1)`.execute(impatient);
    await whileLocked(async () => {
      const first = insert();
      await sleep(500);
      const startedAt = performance.now();
      const second = insert();
      await expect(first).rejects.toMatchObject(UNAVAILABLE);
      await expect(second).rejects.toMatchObject(UNAVAILABLE);
      expect(performance.now() - startedAt).toBeLessThan(1_350);
    });
    await impatient.destroy();
  });
});

describe('A fault of the file', () => {
  it('is unavailability when the disk is full, undoes the transaction, and passes', async () => {
    await sql`pragma max_page_count = 20`.execute(db);
    const attempt = db.transaction().execute(async (trx) => {
      await sql`insert into numbers (n) values (1)`.execute(trx);
      await sql`insert into numbers (n) values (zeroblob(100000))`.execute(trx);
    });
    await expect(attempt).rejects.toMatchObject(UNAVAILABLE);
    expect(await numbers()).toEqual([]);
    await sql`insert into numbers (n) values (2)`.execute(db);
    expect(await numbers()).toEqual([2]);
  });

  it.each(['a query', 'a transaction'])(
    'is unavailability when the disk is full and rows were asked for, in %s',
    async (where) => {
      await sql`pragma max_page_count = 20`.execute(db);
      const insert = (executor: Kysely<Schema>) =>
        sql`insert into numbers (n) values (zeroblob(100000)) returning name`.execute(executor);
      const attempt = where === 'a query' ? insert(db) : db.transaction().execute(insert);
      await expect(attempt).rejects.toMatchObject(UNAVAILABLE);
      expect(await numbers()).toEqual([]);
    },
  );

  it('is unavailability when it can only be read', async () => {
    await sql`pragma query_only = 1`.execute(db);
    const attempt = sql`insert into numbers (n) values (1)`.execute(db);
    await expect(attempt).rejects.toMatchObject(UNAVAILABLE);
    expect(await numbers()).toEqual([]);
  });
});

it('A query is never streamed: it would hold the only connection', () => {
  const rows = db.selectFrom('users').selectAll().stream();
  return expect(rows.next()).rejects.toThrow(/page through/);
});
