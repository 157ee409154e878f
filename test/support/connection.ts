import { dirname } from 'node:path';
import { Database } from '../../src/database/database.js';
import { PostgresDialect } from '../../src/database/postgres.js';
import { SqliteDialect } from '../../src/database/sqlite.js';

/** The file of a `sqlite:` URL. */
export const fileOf = (databaseUrl: string): string => databaseUrl.replace(/^sqlite:/, '');

const opened = new Set<Database>();

/** A connection beside the application's, as another process would have; nothing is migrated. */
export function connect(databaseUrl: string): Database {
  const file = fileOf(databaseUrl);
  const db = new Database({
    dialect: databaseUrl.startsWith('sqlite:')
      ? new SqliteDialect({ file, directory: dirname(file) })
      : new PostgresDialect({ url: databaseUrl }),
  });
  opened.add(db);
  return db;
}

// PostgreSQL does not stop while somebody is connected.
afterAll(async () => {
  for (const db of opened) await db.destroy();
});
