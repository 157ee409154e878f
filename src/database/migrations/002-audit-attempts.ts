import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../database.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = isPostgres(db);

  // When it is set, the password was made for the user, and must be changed before then.
  await db.schema.alterTable('users').addColumn('password_expires_at', 'bigint').execute();

  await db.schema
    .createTable('audit')
    .addColumn('id', postgres ? 'bigint' : 'integer', (column) =>
      postgres
        ? column.primaryKey().generatedAlwaysAsIdentity()
        : column.primaryKey().autoIncrement(),
    )
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text')
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('address', 'text')
    .addColumn('session_id', 'text')
    .addColumn('detail', 'text')
    .execute();
  await (postgres ? appendOnlyOnPostgres(db) : appendOnlyOnSqlite(db));

  await db.schema
    .createTable('attempts')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('count', 'integer', (column) => column.notNull())
    .addColumn('ends_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('attempts_ends_at').on('attempts').column('ends_at').execute();

  await db.schema
    .createTable('known_addresses')
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('known_addresses_pk', ['account', 'address'])
    .execute();
}

async function appendOnlyOnSqlite(db: Kysely<unknown>): Promise<void> {
  for (const change of ['update', 'delete']) {
    await sql`
      create trigger ${sql.raw(`audit_refuses_${change}`)} before ${sql.raw(change)} on audit
      begin select raise(abort, 'audit rows are never changed'); end
    `.execute(db);
  }
  // What `insert or replace` replaces is deleted without asking the trigger above.
  await sql`
    create trigger audit_refuses_replace before insert on audit
    when exists (select 1 from audit where id = new.id)
    begin select raise(abort, 'audit rows are never changed'); end
  `.execute(db);
}

async function appendOnlyOnPostgres(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function audit_refuses_change() returns trigger language plpgsql as
    $$ begin raise exception 'audit rows are never changed'; end $$
  `.execute(db);
  await sql`
    create trigger audit_refuses_change before update or delete or truncate on audit
    for each statement execute function audit_refuses_change()
  `.execute(db);
}
