// New databases of both kinds, and what stands in them.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { connect, newPostgres } from './postgres.mjs';
import { directory } from './processes.mjs';

export const DATABASES = ['sqlite', 'postgres'];

/** The `DATABASE_URL` of a new, empty database. */
export async function newDatabase(kind) {
  if (kind === 'sqlite')
    return `sqlite:${join(mkdtempSync(join(directory, 'db-')), 'latchkey.db')}`;
  return newPostgres();
}

/** Reads beside the server, as another process. @returns the rows */
export async function query(databaseUrl, sql) {
  if (databaseUrl.startsWith('sqlite:')) {
    const db = new DatabaseSync(databaseUrl.slice('sqlite:'.length), { timeout: 5000 });
    try {
      return db.prepare(sql).all();
    } finally {
      db.close();
    }
  }
  const client = await connect(databaseUrl);
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/**
 * Writes to a stopped SQLite database, and lets go of it: a statement that was prepared would hold
 * it until the garbage is collected.
 */
export function write(databaseUrl, sql) {
  const db = new DatabaseSync(databaseUrl.slice('sqlite:'.length));
  db.exec(sql);
  db.close();
}

/** Does something while nobody else can write to the table of sessions. */
export async function holdingSessions(databaseUrl, work) {
  if (databaseUrl.startsWith('sqlite:')) {
    const db = new DatabaseSync(databaseUrl.slice('sqlite:'.length), { timeout: 5000 });
    db.exec('begin immediate');
    try {
      return await work();
    } finally {
      db.exec('rollback');
      db.close();
    }
  }
  const client = await connect(databaseUrl);
  try {
    await client.query('begin; lock table sessions in exclusive mode');
    return await work();
  } finally {
    await client.end();
  }
}

/** How often refresh tokens were taken for stolen ones. */
export async function reuses(databaseUrl) {
  const [{ count }] = await query(
    databaseUrl,
    "select count(*) as count from audit where event = 'authn_token_reuse'",
  );
  return Number(count);
}

/** What `pragma integrity_check` finds; on PostgreSQL, which has no such thing, nothing. */
export async function damages(databaseUrl) {
  if (!databaseUrl.startsWith('sqlite:')) return [];
  const [{ integrity_check: verdict }] = await query(databaseUrl, 'pragma integrity_check');
  return verdict === 'ok' ? [] : [`integrity_check says ${verdict}`];
}
