import { CompiledQuery, type Transaction } from 'kysely';
import { type Database, isPostgres } from './database.js';
import type { Schema } from './schema.js';

const ON_POSTGRES = CompiledQuery.raw('set local synchronous_commit = off');
const SQLITE_WITHOUT = CompiledQuery.raw('pragma synchronous = normal');
const SQLITE_WITH = CompiledQuery.raw('pragma synchronous = full');

/**
 * Runs a transaction whose commit does not wait for the disk, which is most of what a small one
 * takes. Only for what may be forgotten: a power cut can undo it, though never a part of it, and
 * nothing that was committed otherwise. The end of this process, even a kill, undoes nothing.
 */
export function unflushed<T>(
  db: Database,
  work: (trx: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  if (isPostgres(db)) {
    return db.transaction().execute(async (trx) => {
      await trx.executeQuery(ON_POSTGRES);
      return work(trx);
    });
  }
  // A setting of the connection, not of the transaction: nobody else has it meanwhile.
  return db.connection().execute(async (connection) => {
    try {
      await connection.executeQuery(SQLITE_WITHOUT);
      return await connection.transaction().execute(work);
    } finally {
      await connection.executeQuery(SQLITE_WITH);
    }
  });
}
