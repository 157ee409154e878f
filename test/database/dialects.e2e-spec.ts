import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { connect } from '../support/connection.js';
import { DATABASES, newDatabase } from '../support/databases.js';

const NOW = 1_767_225_600_123;

interface Schema {
  owners: { id: string; name: string; gen: number; made_at: number; ended_at: number | null };
  things: { id: string; owner_id: string; ended_at: number | null };
}

describe.each(DATABASES)('What the program relies on, on %s', (kind) => {
  let url: string;
  let db: Kysely<Schema>;

  const open = () => connect(url) as unknown as Kysely<Schema>;

  beforeAll(async () => {
    url = await newDatabase(kind);
    db = open();
    await db.schema
      .createTable('owners')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull().unique())
      .addColumn('gen', 'integer', (column) => column.notNull())
      .addColumn('made_at', 'bigint', (column) => column.notNull())
      .addColumn('ended_at', 'bigint')
      .execute();
    await db.schema
      .createTable('things')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner_id', 'text', (column) =>
        column.notNull().references('owners.id').onDelete('cascade'),
      )
      .addColumn('ended_at', 'bigint')
      .execute();
  });

  const owner = { id: 'o', name: 'alice', gen: 0, made_at: NOW, ended_at: null };
  const thing = (id: string, owner_id = 'o') => ({ id, owner_id, ended_at: null });

  beforeEach(async () => {
    await db.deleteFrom('owners').execute();
    await db.insertInto('owners').values(owner).execute();
  });

  const gen = async () =>
    (await db.selectFrom('owners').select('gen').executeTakeFirstOrThrow()).gen;

  it('gives back times, counts and nulls as they were written', async () => {
    expect(await db.selectFrom('owners').selectAll().execute()).toEqual([owner]);
    const { count, last } = await db
      .selectFrom('owners')
      .select(({ fn }) => [fn.countAll().as('count'), fn.max('made_at').as('last')])
      .executeTakeFirstOrThrow();
    expect([count, last]).toEqual([1, NOW]);
  });

  it('returns the columns that an update is asked for, and nothing where no row fits', async () => {
    const raise = (id: string) =>
      db
        .updateTable('owners')
        .set((eb) => ({ gen: eb('gen', '+', 1) }))
        .where('id', '=', id)
        .returning(['id', 'gen', 'made_at'])
        .execute();
    expect(await raise('o')).toEqual([{ id: 'o', gen: 1, made_at: NOW }]);
    expect(await raise('nobody')).toEqual([]);
  });

  it('tells how many rows a statement touched', async () => {
    await db
      .insertInto('things')
      .values([thing('a'), thing('b')])
      .execute();
    const ended = await db.updateTable('things').set({ ended_at: NOW }).executeTakeFirstOrThrow();
    expect(ended.numUpdatedRows).toBe(2n);
    const none = await db.deleteFrom('things').where('id', '=', 'c').executeTakeFirstOrThrow();
    expect(none.numDeletedRows).toBe(0n);
  });

  it('keeps a name once, and tells the second writer', async () => {
    const again = db.insertInto('owners').values({ ...owner, id: 'p' });
    await expect(again.execute()).rejects.toThrow(/unique/i);
    const { numInsertedOrUpdatedRows } = await again
      .onConflict((conflict) => conflict.column('name').doNothing())
      .executeTakeFirstOrThrow();
    expect(numInsertedOrUpdatedRows).toBe(0n);
  });

  it('deletes the things of an owner with the owner, and takes none of nobody', async () => {
    await db.insertInto('things').values(thing('a')).execute();
    await db.deleteFrom('owners').execute();
    expect(await db.selectFrom('things').select('id').execute()).toEqual([]);
    const orphan = db.insertInto('things').values(thing('b'));
    await expect(orphan.execute()).rejects.toThrow(/foreign key/i);
  });

  it('keeps what a transaction wrote that ended well', async () => {
    const result = await db.transaction().execute(async (trx) => {
      await trx.updateTable('owners').set({ gen: 7 }).execute();
      return 'done';
    });
    expect(result).toBe('done');
    expect(await gen()).toBe(7);
  });

  it('undoes a transaction that threw, and throws the same error on', async () => {
    const failure = new Error('changed my mind');
    const attempt = db.transaction().execute(async (trx) => {
      await trx.updateTable('owners').set({ gen: 7 }).execute();
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    expect(await gen()).toBe(0);
  });

  it('undoes a transaction of which one statement failed', async () => {
    const attempt = db.transaction().execute(async (trx) => {
      await trx.updateTable('owners').set({ gen: 7 }).execute();
      await trx.insertInto('things').values(thing('a', 'nobody')).execute();
    });
    await expect(attempt).rejects.toThrow(/foreign key/i);
    expect(await gen()).toBe(0);
  });

  it('shows nothing of a transaction to another connection before it is committed', async () => {
    const other = open();
    const read = () => other.selectFrom('owners').select('gen').executeTakeFirstOrThrow();
    await db.transaction().execute(async (trx) => {
      await trx.updateTable('owners').set({ gen: 7 }).execute();
      expect((await read()).gen).toBe(0);
    });
    expect((await read()).gen).toBe(7);
  });

  it('lets no concurrent transaction lose what another one counted', async () => {
    const connections = [db, open(), open()];
    const increments = Array.from({ length: 30 }, (_, i) =>
      connections[i % connections.length]!.transaction().execute(async (trx) => {
        const { gen } = await trx
          .selectFrom('owners')
          .select('gen')
          .$if(kind === 'postgres', (query) => query.forUpdate())
          .executeTakeFirstOrThrow();
        await trx
          .updateTable('owners')
          .set({ gen: gen + 1 })
          .execute();
      }),
    );
    await Promise.all(increments);
    expect(await gen()).toBe(30);
  });
});

describe('On PostgreSQL', () => {
  it('a transaction is READ COMMITTED, whatever the default of the server', async () => {
    const url = await newDatabase('postgres');
    const name = sql.id(new URL(url).pathname.slice(1));
    const isolation = async () => {
      const { rows } = await connect(url)
        .transaction()
        .execute((trx) => sql`show transaction_isolation`.execute(trx));
      return rows;
    };
    await sql`alter database ${name} set default_transaction_isolation = 'serializable'`.execute(
      connect(url),
    );
    expect(await isolation()).toEqual([{ transaction_isolation: 'read committed' }]);
  });

  it('every wait of a statement is bounded, and one that takes too long is unavailability', async () => {
    const db = connect(await newDatabase('postgres'));
    const { rows } = await sql<{ name: string; setting: string }>`
      select name, setting from pg_settings where name in
        ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
    `.execute(db);
    expect(rows.map(({ setting }) => setting)).toEqual(['5000', '5000', '5000']);
    const cancelled = db.transaction().execute(async (trx) => {
      await sql`set local statement_timeout = 50`.execute(trx);
      await sql`select pg_sleep(5)`.execute(trx);
    });
    await expect(cancelled).rejects.toMatchObject(UNAVAILABLE);
    expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  });

  it('a connection lost in the middle of a transaction is unavailability, and the next one works', async () => {
    const url = await newDatabase('postgres');
    const [db, other] = [connect(url), connect(url)];
    const attempt = db.transaction().execute(async (trx) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
      await sql`select pg_terminate_backend(${rows[0]!.pid})`.execute(other);
      // Nobody asks anything of the connection while it ends.
      await sleep(200);
      await sql`select 1`.execute(trx);
    });
    await expect(attempt).rejects.toMatchObject(UNAVAILABLE);
    expect((await sql`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
  });

  it('a host that cannot be found, or refuses, is unavailability', async () => {
    for (const host of ['nowhere.invalid', '127.0.0.1:1']) {
      const query = sql`select 1`.execute(connect(`postgres://a:b@${host}/c`));
      await expect(query).rejects.toMatchObject(UNAVAILABLE);
    }
  });
});

const UNAVAILABLE = { error: 'temporarily_unavailable', details: { retryAfter: 1 } };
