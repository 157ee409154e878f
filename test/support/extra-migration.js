// Migrates the database of DATABASE_URL as a next version of the program would: with all its
// migrations and one more. With HANG set it stops in the middle of that one, for ever.
import { dirname } from 'node:path';
import { Database } from '../../dist/database/database.js';
import { migrate, MIGRATIONS } from '../../dist/database/migrate.js';
import { PostgresDialect } from '../../dist/database/postgres.js';
import { SqliteDialect } from '../../dist/database/sqlite.js';

const { DATABASE_URL: url, HANG } = process.env;
const file = url.replace(/^sqlite:/, '');
const db = new Database({
  dialect: url.startsWith('sqlite:')
    ? new SqliteDialect({ file, directory: dirname(file) })
    : new PostgresDialect({ url, statementTimeout: 0 }),
});

await migrate(db, {
  ...MIGRATIONS,
  '999-extra': {
    async up(trx) {
      await trx.schema.createTable('extra').addColumn('a', 'integer').execute();
      await trx.insertInto('extra').values({ a: 1 }).execute();
      if (!HANG) return;
      process.stdout.write('in the middle\n');
      await new Promise(() => setInterval(() => undefined, 60_000));
    },
  },
});
await db.destroy();
