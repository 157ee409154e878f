import { existsSync, statSync } from 'node:fs';
import { Logger } from '@nestjs/common';
import type { Dialect } from 'kysely';
import type { Config, DatabaseLocation } from '../config/config.js';
import { Database } from './database.js';
import { migrate } from './migrate.js';
import { PostgresDialect } from './postgres.js';
import { SqliteDialect } from './sqlite.js';

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
