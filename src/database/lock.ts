import { sql, type Transaction } from 'kysely';
import { type Database, isPostgres } from './database.js';
import type { Schema } from './schema.js';

/** Any number, as long as nothing else in the database uses it: "latch" in ASCII. */
const LOCK_ID = 0x6c61746368n;
const ADMINISTRATORS = LOCK_ID + 1n;
export const MIGRATIONS_LOCK = LOCK_ID + 2n;

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

/**
 * Who most likely holds the lock, on PostgreSQL, that was waited for in vain: of those that wait for
 * none, who has an advisory lock, or else the oldest transaction.
 */
export async function lockHolder(
  db: Database,
): Promise<{ pid: number; description: string } | undefined> {
  const { rows } = await sql<{ pid: number; description: string }>`
    with advisory as (select distinct pid from pg_locks where locktype = 'advisory' and granted)
    select activity.pid, concat('process ', activity.pid, ' (', concat_ws(', ',
      nullif(application_name, ''), host(client_addr), state,
      'since ' || date_trunc('second', coalesce(xact_start, state_change))), ')'
    ) as description
    from pg_stat_activity activity left join advisory using (pid)
    where datname = current_database() and activity.pid <> pg_backend_pid()
      and wait_event_type is distinct from 'Lock'
      and (advisory.pid is not null or xact_start is not null)
    order by advisory.pid is null, xact_start
    limit 1
  `.execute(db);
  return rows[0];
}
