// New databases of both kinds for the servers and commands that are measured.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { newPostgres } from '../chaos/postgres.mjs';
import { directory } from './processes.mjs';

export const DATABASES = ['sqlite', 'postgres'];

/** The `DATABASE_URL` of a new, empty database. */
export async function newDatabase(kind) {
  if (kind === 'postgres') return newPostgres();
  return `sqlite:${join(directory, `${randomBytes(6).toString('hex')}.db`)}`;
}
