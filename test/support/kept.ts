import { existsSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import type { Config } from '../../src/config/config.js';
import type { Database } from '../../src/database/database.js';
import { send } from './client.js';

/** An application, as far as it keeps something. */
interface Keeper {
  url: string;
  config: Config;
  db: Database;
  log: () => string;
}

/**
 * No secret is in a place that outlives a request, in none of the forms in which it could have got
 * there: in the log, in the database, in what `/metrics` shows.
 */
export async function expectKept(app: Keeper, secrets: Iterable<string>): Promise<void> {
  const places: Record<string, string> = { log: app.log(), ...(await stored(app)) };
  if (app.config.metrics) places['metrics'] = (await send(app, '/metrics')).text;
  expectNowhere(places, secrets);
}

/** @param places texts by where they were found */
export function expectNowhere(places: Record<string, string>, secrets: Iterable<string>): void {
  const byStart = groupByStart(secrets);
  const found = new Set<string>();
  for (const [place, text] of Object.entries(places)) {
    for (const [start, group] of byStart) {
      for (let at = text.indexOf(start); at !== -1; at = text.indexOf(start, at + 1)) {
        for (const [form, secret] of group) {
          if (text.startsWith(form, at)) found.add(`${secret} in ${place}`);
        }
      }
    }
  }
  expect([...found]).toEqual([]);
}

/** Bytes: enough to be rare, and few enough that all tokens of a kind begin alike. */
const START = 6;

/** Each form of each secret, by how it begins, so that a text is searched once for many of them. */
function groupByStart(secrets: Iterable<string>): Map<string, [form: string, secret: string][]> {
  const byStart = new Map<string, [string, string][]>();
  for (const secret of secrets) {
    for (const form of forms(secret)) {
      const start = form.slice(0, START);
      const group = byStart.get(start) ?? [];
      if (group.length === 0) byStart.set(start, group);
      group.push([form, secret]);
    }
  }
  return byStart;
}

function forms(secret: string): Set<string> {
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const utf8 = Buffer.from(secret).toString('latin1');
  const encoded = encodeURIComponent(secret.toWellFormed());
  const inForm = new URLSearchParams({ '': secret }).toString().slice(1);
  return new Set([secret, utf8, JSON.stringify(secret).slice(1, -1), encoded, inForm, base64]);
}

/** All that the database holds: the bytes of its files, or each row of each table as text. */
async function stored({ config: { database }, db }: Keeper): Promise<Record<string, string>> {
  if (database.kind === 'sqlite') {
    const files = ['', '-wal', '-journal'].map((suffix) => database.file + suffix);
    return Object.fromEntries(
      files.filter(existsSync).map((file) => [file, readFileSync(file, 'latin1')]),
    );
  }
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables where table_schema = 'public'
  `.execute(db);
  const places: Record<string, string> = {};
  for (const { name } of rows) {
    const all = await sql<{ row: string }>`select t::text as row from ${sql.id(name)} t`.execute(
      db,
    );
    places[name] = all.rows.map(({ row }) => row).join('\n');
  }
  return places;
}
