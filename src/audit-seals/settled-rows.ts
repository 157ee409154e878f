import { sql, type Transaction } from 'kysely';
import { isPostgres } from '../database/database.js';
import type { Schema } from '../database/schema.js';

/** Any number, as long as nothing else in the database uses it: "seals" in ASCII. */
const LOCK_ID = 0x7365616c73n;

/** Whether this is the only sealer until the transaction ends; nobody waits for another one. */
export async function becomeOnlySealer(trx: Transaction<Schema>): Promise<boolean> {
  if (!isPostgres(trx)) return true; // the write lock
  const { rows } = await sql<{ ours: boolean }>`
    select pg_try_advisory_xact_lock(${sql.lit(LOCK_ID)}) as ours
  `.execute(trx);
  return rows[0]!.ours;
}

/** Waits, as long as a statement may, for the sealer of another process. */
export async function waitToBeOnlySealer(trx: Transaction<Schema>): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_advisory_xact_lock(${sql.lit(LOCK_ID)})`.execute(trx);
}

/**
 * Tells up to which id the audit is settled: no row can appear there any more.
 *
 * SQLite has one writer at a time, so that is the greatest id. On PostgreSQL a slow transaction
 * commits rows with lower ids later. Whoever inserts has a transaction id before a row's id (a
 * trigger sees to it), and ids are given out in order; so everybody who has an id up to the
 * greatest one seen has a transaction id below one that is given out now. Once all of those have
 * ended, nothing can come.
 */
export class SettledRows {
  /** Stays until it is settled: with another one each time, a busy database never would be. */
  #awaited: { upTo: number; xid: string } | undefined;

  /** @param trx has written nothing yet */
  async upTo(trx: Transaction<Schema>): Promise<number> {
    if (!isPostgres(trx)) return greatestId(trx);
    this.#awaited ??= await greatestIdAndXid(trx);
    const { upTo, xid } = this.#awaited;
    const { rows } = await sql<{ settled: boolean }>`
      select pg_snapshot_xmin(pg_current_snapshot()) >= ${xid}::xid8 as settled
    `.execute(trx);
    if (!rows[0]!.settled) return 0;
    this.#awaited = undefined;
    return upTo;
  }

  /** After a lost connection: another server, with other transaction ids, may have taken over. */
  forget(): void {
    this.#awaited = undefined;
  }
}

async function greatestId(trx: Transaction<Schema>): Promise<number> {
  const { id } = await trx
    .selectFrom('audit')
    .select(({ fn }) => fn.max<number | null>('id').as('id'))
    .executeTakeFirstOrThrow();
  return id ?? 0;
}

/** The statement sees what was committed before it is given its transaction id. */
async function greatestIdAndXid(trx: Transaction<Schema>) {
  const { rows } = await sql<{ upTo: number; xid: string }>`
    select coalesce(max(id), 0) as "upTo", pg_current_xact_id()::text as xid from audit
  `.execute(trx);
  return rows[0]!;
}
