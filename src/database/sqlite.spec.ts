import { mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { Database } from './database.js';
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
