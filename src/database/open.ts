import { existsSync, statSync } from 'node:fs';
import { Logger } from '@nestjs/common';
import type { Dialect } from 'kysely';
import type { Config, DatabaseLocation } from '../config/config.js';
import { Database } from './database.js';
import { migrate } from './migrate.js';
import { PostgresDialect } from './postgres.js';
import { isDamaged, SqliteDialect } from './sqlite.js';
import { causeOf, isDatabaseUnavailable } from './unavailable.js';

/** A start may wait for the migrations of another process, up to a minute. */
const MIGRATION_PATIENCE = 60_000;

/**
 * Opens the database, migrated and ready.
 * @throws when it cannot be reached, is not a database, or is newer than this program
 */
export async function openDatabase({ database }: Config): Promise<Database> {
  refuseLostDatabase(database);
  const migrating = new Database({ dialect: dialect(database, MIGRATION_PATIENCE) });
  try {
    await migrate(migrating);
  } catch (error) {
    throw forOperator(error, database);
  } finally {
    await migrating.destroy();
  }
  return new Database({ dialect: dialect(database) });
}

function dialect(location: DatabaseLocation, migrationPatience?: number): Dialect {
  if (location.kind === 'sqlite') {
    return new SqliteDialect({ ...location, patience: migrationPatience });
  }
  const logger = new Logger('Database');
  return new PostgresDialect({
    url: location.url,
    statementTimeout: migrationPatience === undefined ? undefined : 0,
    onIdleError: (error) => logger.warn(`An idle connection was lost: ${error.message}`),
  });
}

/** A secret without its database is a lost or emptied file, not a first start. */
function refuseLostDatabase(location: DatabaseLocation): void {
  if (location.kind === 'postgres' || !existsSync(location.secretFile)) return;
  if (existsSync(location.file) && statSync(location.file).size > 0) return;
  throw new Error(
    `${location.file} is missing or empty, but ${location.secretFile} shows that there was a ` +
      'database: restore both from a backup, or move the secret away to start anew.',
  );
}

/** Which database it is about, and what to do. */
function forOperator(error: unknown, location: DatabaseLocation): Error {
  if (location.kind === 'sqlite' && isDamaged(error)) {
    return new Error(
      `${location.file} is damaged, or not an SQLite database (${causeOf(error)}): ` +
        'restore it from a backup.',
    );
  }
  if (!isDatabaseUnavailable(error)) return error as Error;
  return new Error(
    location.kind === 'sqlite'
      ? `${location.file} cannot be used (${causeOf(error)}): check its place, and who may write there.`
      : `The PostgreSQL of DATABASE_URL cannot be used (${causeOf(error)}): check that it runs, and where.`,
  );
}
