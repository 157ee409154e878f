import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../database.js';

/** As in 002; what is left of a deleted row's id, nobody may use again. */
const REFUSED = 'audit rows are never changed';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('audit_seals')
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('last_row', 'bigint', (column) => column.notNull())
    .addColumn('total', 'bigint', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('digests', 'text', (column) => column.notNull())
    .addColumn('chain', 'text', (column) => column.notNull())
    .addColumn('secret_id', 'text', (column) => column.notNull())
    .addColumn('mac', 'text', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('audit_checkpoints')
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('seal_id', 'bigint', (column) => column.notNull())
    .addColumn('last_row', 'bigint', (column) => column.notNull())
    .addColumn('total', 'bigint', (column) => column.notNull())
    .addColumn('chain', 'text', (column) => column.notNull())
    .addColumn('seal_mac', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('secret_id', 'text', (column) => column.notNull())
    .addColumn('mac', 'text', (column) => column.notNull())
    .execute();

  await (isPostgres(db) ? guardOnPostgres(db) : guardOnSqlite(db));
}

/** Which rows of a table may be deleted: those that the last checkpoint says are gone. */
const DELETABLE = [
  { table: 'audit', upTo: 'last_row' },
  { table: 'audit_seals', upTo: 'seal_id' },
] as const;

/** By the primary key: it is asked for every row that goes. */
const lastCheckpoint = (column: string) => sql`
  coalesce((select ${sql.ref(column)} from audit_checkpoints order by id desc limit 1), 0)
`;

async function guardOnSqlite(db: Kysely<unknown>): Promise<void> {
  await sql`drop trigger audit_refuses_delete`.execute(db);
  for (const { table, upTo } of DELETABLE) {
    await sql`
      create trigger ${sql.raw(`${table}_refuses_delete`)} before delete on ${sql.table(table)}
      when old.id > ${lastCheckpoint(upTo)}
      begin select raise(abort, ${sql.lit(REFUSED)}); end
    `.execute(db);
  }
  const refuse = (table: string, change: string) =>
    sql`
      create trigger ${sql.raw(`${table}_refuses_${change}`)}
      before ${sql.raw(change)} on ${sql.table(table)}
      begin select raise(abort, ${sql.lit(REFUSED)}); end
    `.execute(db);
  await refuse('audit_checkpoints', 'delete');
  for (const table of ['audit_seals', 'audit_checkpoints']) {
    await refuse(table, 'update');
    // What `insert or replace` replaces is deleted without asking the triggers above.
    await sql`
      create trigger ${sql.raw(`${table}_refuses_replace`)} before insert on ${sql.table(table)}
      when exists (select 1 from ${sql.table(table)} where id = new.id)
      begin select raise(abort, ${sql.lit(REFUSED)}); end
    `.execute(db);
  }
}

async function guardOnPostgres(db: Kysely<unknown>): Promise<void> {
  await sql`drop trigger audit_refuses_change on audit`.execute(db);
  for (const { table, upTo } of DELETABLE) {
    await sql`
      create function ${sql.raw(`${table}_refuses_delete`)}() returns trigger language plpgsql as $$
      begin
        if old.id > ${lastCheckpoint(upTo)} then
          raise exception ${sql.lit(REFUSED)};
        end if;
        return old;
      end $$
    `.execute(db);
    await sql`
      create trigger ${sql.raw(`${table}_refuses_delete`)} before delete on ${sql.table(table)}
      for each row execute function ${sql.raw(`${table}_refuses_delete`)}()
    `.execute(db);
  }
  const refuse = (table: string, changes: string) =>
    sql`
      create trigger audit_refuses_change before ${sql.raw(changes)} on ${sql.table(table)}
      for each statement execute function audit_refuses_change()
    `.execute(db);
  await refuse('audit', 'update or truncate');
  await refuse('audit_seals', 'update or truncate');
  await refuse('audit_checkpoints', 'update or delete or truncate');

  // The sealer asks which ids can no longer appear (`audit-seals/settled-rows.ts`), so whoever has
  // an id must have a transaction id first. A statement's trigger runs before any of its defaults.
  await sql`
    create function audit_begins_transaction() returns trigger language plpgsql as
    $$ begin perform pg_current_xact_id(); return null; end $$
  `.execute(db);
  await sql`
    create trigger audit_begins_transaction before insert on audit
    for each statement execute function audit_begins_transaction()
  `.execute(db);
}
