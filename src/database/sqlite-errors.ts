import { databaseUnavailable } from './unavailable.js';

const SQLITE_BUSY = 5;

/** SQLite's result codes for the world's fault, which may pass, and for a damaged file. */
const CODES: Record<string, number> = {
  'database is locked': SQLITE_BUSY,
  'database table is locked': 6,
  'attempt to write a readonly database': 8,
  'disk I/O error': 10,
  'database disk image is malformed': 11,
  'database or disk is full': 13,
  'unable to open database file': 14,
  'file is not a database': 26,
};

const DAMAGED = [11, 26];
const UNAVAILABLE = Object.values(CODES).filter((code) => !DAMAGED.includes(code));

/** The file is not what SQLite wrote. */
export function isDamaged(error: unknown): boolean {
  return DAMAGED.includes(sqliteCode(error) ?? 0);
}

/** Another process has the lock. */
export function isBusy(error: unknown): boolean {
  return sqliteCode((error as { cause?: unknown }).cause ?? error) === SQLITE_BUSY;
}

/** What a caller is told: unavailability for the world's fault, and any other error as it is. */
export function toCaller(error: unknown): Error {
  return UNAVAILABLE.includes(sqliteCode(error) ?? 0)
    ? databaseUnavailable(error)
    : (error as Error);
}

/** SQLite's primary result code, for an error that is SQLite's. */
function sqliteCode(error: unknown): number | undefined {
  const { code, errcode, message } = (error ?? {}) as Record<string, unknown>;
  if (typeof errcode === 'number') return errcode & 0xff;
  // Of a statement that gives rows the package tells no code, but SQLite's own words.
  return code === 'ERR_SQLITE_ERROR' && typeof message === 'string' ? CODES[message] : undefined;
}
