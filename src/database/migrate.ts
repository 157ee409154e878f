import { type Migration, Migrator } from 'kysely';
import type { Database } from './database.js';
import * as usersSessionsKeys from './migrations/001-users-sessions-keys.js';
import * as auditAttempts from './migrations/002-audit-attempts.js';
import * as refreshSessions from './migrations/003-refresh-sessions.js';
import * as apiTokens from './migrations/004-api-tokens-audit-index.js';
import * as auditSeals from './migrations/005-audit-seals.js';
import * as indexes from './migrations/006-indexes.js';

/**
 * Every migration, in order. A static list: a bundler keeps it, and no file that happens to lie
 * in a folder is run. Names are never changed; a migration that was released is never edited.
 */
export const MIGRATIONS: Record<string, Migration> = {
  '001-users-sessions-keys': usersSessionsKeys,
  '002-audit-attempts': auditAttempts,
  '003-refresh-sessions': refreshSessions,
  '004-api-tokens-audit-index': apiTokens,
  '005-audit-seals': auditSeals,
  '006-indexes': indexes,
};

/** The mark of a database that is half of a copy: see `copy-state.ts`. */
export const UNFINISHED_COPY = 'unfinished-copy';

/**
 * Brings the schema up to date, in one transaction under a lock: `begin immediate` on SQLite, an
 * advisory lock on PostgreSQL. Any number of processes may call this together; a killed one
 * leaves nothing behind.
 *
 * @param db a connection that may wait: without a statement timeout
 */
export async function migrate(
  db: Database,
  migrations: Record<string, Migration> = MIGRATIONS,
): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrations) },
    // Your own migrations and ours are numbered apart: neither has to wait for the other.
    allowUnorderedMigrations: true,
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const newer = /previously executed migration (\S+) is missing/.exec(
    error instanceof Error ? error.message : '',
  );
  if (newer?.[1] === UNFINISHED_COPY) {
    throw new Error('The database is half of a copy: run `db copy` again, to its end.');
  }
  if (newer) {
    throw new Error(
      `The database has the migration ${newer[1]}, which this version does not know: ` +
        'start the newer version, or restore a backup from before it.',
    );
  }
  throw error as Error;
}
