import { existsSync, statSync } from 'node:fs';
import { Logger } from '@nestjs/common';
import { type Dialect, sql } from 'kysely';
import type { Config, DatabaseLocation } from '../config/config.js';
import { causeOf } from '../errors.js';
import { Database } from './database.js';
import { lockHolder } from './lock.js';
import { hasLostLog } from './lost-log.js';
import { migrate } from './migrate.js';
import { SqliteDialect } from './sqlite.js';
import { isBusy, isDamaged } from './sqlite-errors.js';
import { isDatabaseUnavailable, isLockTimeout } from './unavailable.js';

/** Milliseconds: so long a start waits for the migrations of another process. */
const PATIENCE = 60_000;
/** Bytes; a larger database would keep a start waiting for its check. */
const MOST_CHECKED = 64 * 1024 * 1024;
/** One for the keys, one for the revocations. */
const POLLING_CONNECTIONS = 2;

/**
 * Opens the database, migrated and ready.
 * @param lockPatience milliseconds for each lock that the migrations need
 * @throws when it cannot be reached, is locked, is not a database, or is newer than this program
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  lockPatience = PATIENCE,
): Promise<Database> {
  refuseLost(database);
  const migrating = new Database({ dialect: await dialect(database, { lockPatience }) });
  try {
    await refuseDamaged(migrating, database);
    await migrate(migrating);
    // A start that migrates nothing writes nothing: so whether it may, one learns now.
    await sql`delete from revocations where false`.execute(migrating);
  } catch (error) {
    if (isLockTimeout(error)) throw await locked(migrating, lockPatience);
    throw forOperator(error, database);
  } finally {
    await migrating.destroy();
  }
  return new Database({ dialect: await dialect(database) });
}

type Located<Kind> = DatabaseLocation & { kind: Kind };

/**
 * Opens a stopped SQLite database, migrated, which no other process can open meanwhile, and the
 * PostgreSQL that it is copied to, as it is and without a statement timeout.
 * @throws when a server has the source open, or there is none
 */
export async function openForCopy(
  source: Located<'sqlite'>,
  target: Located<'postgres'>,
): Promise<{ source: Database; target: Database }> {
  if (!existsSync(source.file) || statSync(source.file).size === 0) {
    throw new Error(`${source.file} is missing or empty: there is nothing to copy.`);
  }
  refuseLost(source);
  const opened = new Database({ dialect: new SqliteDialect({ ...source, exclusive: true }) });
  try {
    await migrate(opened);
  } catch (error) {
    await opened.destroy();
    if (isBusy(error)) throw new Error(`${source.file} is in use: stop its servers first.`);
    throw forOperator(error, source);
  }
  return {
    source: opened,
    target: new Database({ dialect: await dialect(target, { lockPatience: 0 }) }),
  };
}

/**
 * What the keys and the revocations are read with, again and again. On PostgreSQL it has
 * connections of its own: requests that use up the others must not keep a revocation from binding.
 */
export async function openForPolling({ database }: Config, db: Database): Promise<Database> {
  if (database.kind === 'sqlite') return db; // which has one connection, and nobody keeps it long
  return new Database({ dialect: await dialect(database, { connections: POLLING_CONNECTIONS }) });
}

/**
 * Opens the database as it is, to look at it: nothing is made and nothing is migrated.
 * What is wrong with it shows with the first query.
 */
export async function openForReading({ database }: Config): Promise<Database> {
  return new Database({ dialect: await dialect(database, { readOnly: true }) });
}

interface Access {
  /** Milliseconds for a lock, on PostgreSQL 0 for no limit; statements then have none. */
  lockPatience?: number;
  readOnly?: boolean;
  /** On PostgreSQL. */
  connections?: number;
}

async function dialect(location: DatabaseLocation, access: Access = {}): Promise<Dialect> {
  const { lockPatience, readOnly, connections } = access;
  if (location.kind === 'sqlite') {
    return new SqliteDialect({ ...location, patience: lockPatience, readOnly });
  }
  // Loaded by those who use it: a twentieth of a start.
  const { PostgresDialect } = await import('./postgres.js');
  const logger = new Logger('Database');
  return new PostgresDialect({
    url: location.url,
    connections,
    statementTimeout: lockPatience === undefined ? undefined : 0,
    lockTimeout: lockPatience,
    readOnly,
    onIdleError: (error) => logger.warn(`An idle connection was lost: ${error.message}`),
  });
}

/**
 * SQLite makes a new database where there is none, and goes on with less where a part is gone: a
 * server would start as if nobody had ever registered.
 */
function refuseLost(location: DatabaseLocation): void {
  if (location.kind === 'postgres') return;
  const { file, secretFile } = location;
  const isThere = existsSync(file) && statSync(file).size > 0;
  // A secret without its database is a lost or emptied file, not a first start.
  if (!isThere && existsSync(secretFile)) {
    throw new Error(
      `${file} is missing or empty, but ${secretFile} shows that there was a ` +
        'database: restore both from a backup, or move the secret away to start anew.',
    );
  }
  if (!isThere || !hasLostLog(file)) return;
  throw new Error(
    `${file}-wal is missing or cut short, and the last commits were in it: restore it, restore ` +
      `the database from a backup, or delete ${file}-shm to go on without them.`,
  );
}

/** Looks at every page, so that a damaged one is found now and not by the user whom it is about. */
async function refuseDamaged(db: Database, location: DatabaseLocation): Promise<void> {
  if (location.kind === 'postgres' || !existsSync(location.file)) return;
  if (statSync(location.file).size > MOST_CHECKED) return;
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(db);
  const [first] = rows;
  if (first === undefined || first.quick_check === 'ok') return;
  throw damaged(location.file, first.quick_check.replaceAll(/\s+/g, ' '));
}

function damaged(file: string, cause: string): Error {
  return new Error(
    `${file} is damaged, or not an SQLite database (${cause}): restore it from a backup.`,
  );
}

async function locked(db: Database, patience: number): Promise<Error> {
  const holder = await lockHolder(db).catch(() => undefined);
  return new Error(
    `The migrations waited ${patience / 1000} s for a lock in the PostgreSQL of DATABASE_URL` +
      (holder === undefined
        ? ': look in pg_stat_activity for who holds it, end that, and start again.'
        : `, held by ${holder.description}: start again when that is done, or after ` +
          `\`select pg_terminate_backend(${holder.pid})\`.`),
  );
}

/** Which database it is about, and what to do. */
export function forOperator(error: unknown, location: DatabaseLocation): Error {
  if (location.kind === 'sqlite' && isDamaged(error)) {
    return damaged(location.file, causeOf(error));
  }
  if (isRefusal(error)) {
    return new Error(
      `The PostgreSQL of DATABASE_URL lets nobody in (${causeOf(error)}): check the user, the ` +
        'password and the database in it.',
    );
  }
  if (!isDatabaseUnavailable(error)) return error as Error;
  return new Error(
    location.kind === 'sqlite'
      ? `${location.file} cannot be used (${causeOf(error)}): check its place, and who may write there.`
      : `The PostgreSQL of DATABASE_URL cannot be used (${causeOf(error)}): check that it runs, and where.`,
  );
}

/** PostgreSQL's class 28, invalid authorization, and 3D, no such database. */
function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(28|3D)/.test(code);
}
