import { Kysely, PostgresAdapter } from 'kysely';
import type { Schema } from './schema.js';

/** The injected database. Only a use case opens a transaction on it. */
export class Database extends Kysely<Schema> {}

/** Names the injected database for what is read again and again: see `openForPolling()`. */
export const POLLING = Symbol('the database to poll');

/** What a query runs on: the database, or the transaction of the use case that calls. */
export type Executor = Kysely<Schema>;

export function isPostgres(executor: Executor): boolean {
  return executor.getExecutor().adapter instanceof PostgresAdapter;
}
