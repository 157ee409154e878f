import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Sessions of before cannot be refreshed: they have no `refresh_id`, and end with their token.
  await db.schema.alterTable('sessions').addColumn('refresh_id', 'text').execute();
  const times = ['rotated_at', 'idle_expires_at'] as const;
  for (const name of [...times, 'counter'] as const) {
    await db.schema
      .alterTable('sessions')
      .addColumn(name, 'bigint', (column) => column.notNull().defaultTo(0))
      .execute();
  }
  for (const name of ['address', 'user_agent']) {
    await db.schema.alterTable('sessions').addColumn(name, 'text').execute();
  }
  await sql`
    update sessions set rotated_at = auth_time, idle_expires_at = access_expires_at
  `.execute(db);
  await db.schema
    .createIndex('sessions_refresh_id')
    .on('sessions')
    .column('refresh_id')
    .unique()
    .execute();
  await db.schema
    .createIndex('sessions_idle_expires_at')
    .on('sessions')
    .column('idle_expires_at')
    .execute();

  // Of a revoked token: so that many of one session can become one row.
  await db.schema.alterTable('revocations').addColumn('sid', 'text').execute();

  // Seconds: the longest that any token lives which the key signed.
  await db.schema
    .alterTable('signing_keys')
    .addColumn('longest_ttl', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
}
