import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { isPostgres } from '../database.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = isPostgres(db);

  await db.schema
    .createTable('users')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('username', 'text', (column) => column.notNull())
    .addColumn('canonical_username', 'text', (column) => column.notNull().unique())
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('password_version', 'integer', (column) => column.notNull())
    .addColumn('gen', 'integer', (column) => column.notNull())
    .addColumn('roles', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('disabled_at', 'bigint')
    .execute();

  await db.schema
    .createTable('sessions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('user_id', 'text', (column) =>
      column.notNull().references('users.id').onDelete('cascade'),
    )
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('auth_time', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('access_expires_at', 'bigint', (column) => column.notNull())
    .addColumn('ended_at', 'bigint')
    .execute();
  await db.schema.createIndex('sessions_user_id').on('sessions').column('user_id').execute();

  await db.schema
    .createTable('signing_keys')
    .addColumn('kid', 'text', (column) => column.primaryKey())
    .addColumn('alg', 'text', (column) => column.notNull())
    .addColumn('public_jwk', 'text', (column) => column.notNull())
    .addColumn('private_key', 'text', (column) => column.notNull())
    .addColumn('secret_id', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('activate_at', 'bigint')
    .addColumn('withdrawn_at', 'bigint')
    .execute();

  // The readers of this table ask "what is new since I last looked". On SQLite that is the id,
  // and AUTOINCREMENT keeps the ids of pruned rows from being used again. On PostgreSQL ids do
  // not follow the order of commits, so each row carries its transaction's id.
  let revocations = db.schema
    .createTable('revocations')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('gen', 'integer')
    .addColumn('expires_at', 'bigint', (column) => column.notNull());
  revocations = postgres
    ? revocations
        .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
        .addColumn('xid', sql`xid8`, (column) =>
          column.notNull().defaultTo(sql`pg_current_xact_id()`),
        )
    : revocations.addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement());
  await revocations.execute();
  if (postgres) {
    await db.schema.createIndex('revocations_xid').on('revocations').column('xid').execute();
  }
  await db.schema
    .createIndex('revocations_expires_at')
    .on('revocations')
    .column('expires_at')
    .execute();
}
