import { sql } from 'kysely';
import { type Database, isPostgres } from './database.js';

/**
 * Copies what was committed from SQLite's write-ahead log into the database file, where no loss of
 * the log takes it along. Waits for nobody: a reader may keep the last of it in the log.
 */
export async function checkpoint(db: Database): Promise<void> {
  if (isPostgres(db)) return;
  await sql`pragma wal_checkpoint(passive)`.execute(db);
}
