import { type Kysely, sql } from 'kysely';
import type { CopyTable } from './copy-tables.js';
import type { Database, Executor } from './database.js';
import { migrate, MIGRATIONS, UNFINISHED_COPY } from './migrate.js';

/** The target has rows, and they are not of a copy that was interrupted. */
export class TargetNotEmpty extends Error {
  constructor(table: string) {
    super(
      `The target has rows in ${table} that are no copy of this source: ` +
        'copy to a new, empty database, on which no server was started.',
    );
  }
}

/**
 * Migrates the target and marks it as unfinished; where it is marked already, the copy goes on.
 * The mark is a migration that no server knows, so that none starts on half of the rows.
 * @throws TargetNotEmpty
 */
export async function beginCopy(target: Database, tables: readonly CopyTable[]): Promise<void> {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    for (const { name } of tables) {
      const { rows } = await sql`select 1 from ${sql.table(name)} limit 1`.execute(db);
      if (rows.length > 0) throw new TargetNotEmpty(name);
    }
    await db.schema
      .createTable('latchkey_copy')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('last_row', 'bigint', (column) => column.notNull())
      .execute();
    await putAside(db, tables);
  };
  await migrate(target, { ...MIGRATIONS, [UNFINISHED_COPY]: { up } });
}

/** Indexes and references: at the end they cost a fraction of what they cost row by row. */
async function putAside(db: Kysely<unknown>, tables: readonly CopyTable[]): Promise<void> {
  await sql`
    create table latchkey_copy_later as
    select 1 as step, pg_get_indexdef(indexrelid) as definition,
      format('drop index %s', indexrelid::regclass) as removal
    from pg_index
    where indrelid in (${oidsOf(tables)})
      and not exists (select 1 from pg_constraint where conindid = indexrelid and contype <> 'f')
    union all
    select 2, format('alter table %s add constraint %I %s',
        conrelid::regclass, conname, pg_get_constraintdef(oid)),
      format('alter table %s drop constraint %I', conrelid::regclass, conname)
    from pg_constraint where conrelid in (${oidsOf(tables)}) and contype = 'f'
  `.execute(db);
  const { rows } = await sql<{ removal: string }>`
    select removal from latchkey_copy_later order by step desc
  `.execute(db);
  for (const { removal } of rows) await sql.raw(removal).execute(db);
}

async function putBack(executor: Executor): Promise<void> {
  const { rows } = await sql<{ definition: string }>`
    select definition from latchkey_copy_later order by step
  `.execute(executor);
  for (const { definition } of rows) await sql.raw(definition).execute(executor);
}

/** Up to which row of the source a table is copied; undefined where none is. */
export async function copiedUpTo(target: Executor, table: string): Promise<number | undefined> {
  const { rows } = await sql<{ last_row: number }>`
    select last_row from latchkey_copy where name = ${table}
  `.execute(target);
  return rows[0]?.last_row;
}

export async function noteCopied(target: Executor, table: string, row: number): Promise<void> {
  await sql`
    insert into latchkey_copy (name, last_row) values (${table}, ${row})
    on conflict (name) do update set last_row = excluded.last_row
  `.execute(target);
}

/**
 * Lets servers start: indexes and references come back, ids go on after those of the source, and the mark is
 * taken away.
 */
export async function finishCopy(
  source: Executor,
  target: Database,
  tables: readonly CopyTable[],
): Promise<void> {
  const used = await sql<{ name: string; seq: number }>`
    select name, seq from sqlite_sequence
  `.execute(source);
  await target.transaction().execute(async (trx) => {
    const identities = await sql<{ table: string; column: string }>`
      select relname as table, attname as column
      from pg_attribute join pg_class on pg_class.oid = attrelid
      where attrelid in (${oidsOf(tables)}) and attidentity <> ''
    `.execute(trx);
    for (const { table, column } of identities.rows) {
      const last = used.rows.find(({ name }) => name === table)?.seq ?? 0;
      await sql`
        select setval(pg_get_serial_sequence(${table}, ${column}),
          greatest(${last}::bigint, (select max(${sql.ref(column)}) from ${sql.table(table)}), 1))
      `.execute(trx);
    }
    await putBack(trx);
    await sql`drop table latchkey_copy, latchkey_copy_later`.execute(trx);
    await sql`delete from kysely_migration where name = ${UNFINISHED_COPY}`.execute(trx);
  });
  // The planner knows nothing of what came in one go.
  await sql`analyze ${sql.join(tables.map(({ name }) => sql.table(name)))}`.execute(target);
}

/** The database may have tables of somebody else. */
const oidsOf = (tables: readonly CopyTable[]) =>
  sql.join(tables.map(({ name }) => sql`${sql.lit(`"${name}"`)}::regclass`));
