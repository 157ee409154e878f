import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** The databases that every contract holds on. */
export const DATABASES = ['sqlite', 'postgres'] as const;
export type DatabaseKind = (typeof DATABASES)[number];

/** The `DATABASE_URL` of a new, empty database. */
export async function newDatabase(kind: DatabaseKind): Promise<string> {
  if (kind === 'sqlite') {
    const directory = process.env['TEST_DIRECTORY'] ?? tmpdir();
    return `sqlite:${join(mkdtempSync(join(directory, 'database-')), 'latchkey.db')}`;
  }
  const server = process.env['TEST_POSTGRES_URL'];
  const name = `test_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client(`${server}/postgres`);
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  return `${server}/${name}`;
}
