import { LatchkeyError, unavailable } from '../errors.js';
import { databaseErrors } from '../metrics/metrics.js';

/** Seconds until a client should try again. */
const RETRY_AFTER = 1;

/** The error a caller sees when the database cannot answer; the cause is for the log alone. */
export function databaseUnavailable(cause: unknown): LatchkeyError {
  databaseErrors.inc();
  const error = unavailable('database_unavailable', RETRY_AFTER);
  error.cause = cause;
  return error;
}

export function isDatabaseUnavailable(error: unknown): boolean {
  return error instanceof LatchkeyError && error.code === 'database_unavailable';
}

/** On PostgreSQL. */
export function isLockTimeout(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown } };
  return isDatabaseUnavailable(error) && cause?.code === '55P03';
}
