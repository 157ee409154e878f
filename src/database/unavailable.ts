import { type LatchkeyError, unavailable } from '../errors.js';

/** Seconds until a client should try again. */
const RETRY_AFTER = 1;

/** The error a caller sees when the database cannot answer; the cause is for the log alone. */
export function databaseUnavailable(cause: unknown): LatchkeyError {
  const error = unavailable('database_unavailable', RETRY_AFTER);
  error.cause = cause;
  return error;
}
