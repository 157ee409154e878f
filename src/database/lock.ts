import { sql, type Transaction } from 'kysely';
import { type Database, isPostgres } from './database.js';
import type { Schema } from './schema.js';

/** Any number, as long as nothing else in the database uses it: "latch" in ASCII. */
const LOCK_ID = 0x6c61746368n;
const ADMINISTRATORS = LOCK_ID + 1n;

/**
 * Runs what must happen once among all processes that start together. On SQLite every
 * transaction has the write lock; on PostgreSQL an advisory lock is held to its end.
 */
export function underLock<T>(db: Database, work: (trx: Transaction<Schema>) => Promise<T>) {
  return db.transaction().execute(async (trx) => {
    if (isPostgres(trx)) await sql`select pg_advisory_xact_lock(${sql.lit(LOCK_ID)})`.execute(trx);
    return work(trx);
  });
}

/** Has those who remove administrators come one after the other, until the transaction ends. */
export async function lockAdministrators(trx: Transaction<Schema>): Promise<void> {
  if (!isPostgres(trx)) return;
  await sql`select pg_advisory_xact_lock(${sql.lit(ADMINISTRATORS)})`.execute(trx);
}
