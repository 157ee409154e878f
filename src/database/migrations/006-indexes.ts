import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../database.js';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Who asks when something happened, or what happened then, reads the newest first.
  await db.schema.createIndex('audit_event').on('audit').columns(['event', 'id']).execute();
  await db.schema.createIndex('audit_at').on('audit').column('at').execute();
  if (!isPostgres(db)) return; // The unique index there is in the order of code points already.
  await sql`
    create index users_by_name on users (canonical_username collate "C")
  `.execute(db);
}
