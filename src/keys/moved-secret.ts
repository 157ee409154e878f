import { existsSync } from 'node:fs';
import type { Executor } from '../database/database.js';
import { KeyStore } from './key-store.js';
import { RootSecret, secretBesideDatabase } from './root-secret.js';
import { RootSecrets } from './root-secrets.js';

/** Where the secret is that an installation must have after its database was moved. */
export type SecretPlace = { kind: 'environment' } | { kind: 'file'; file: string } | undefined;

interface Candidates {
  current: string | undefined;
  previous: string | undefined;
  /** Beside the SQLite file, if it is there. */
  secretFile: string;
}

/**
 * Finds the secret under which the keys of a database are: `KEY_ENCRYPTION_SECRET` where it is
 * set, else the one in the file beside it.
 * @returns undefined where it is neither, which a server would not start with
 * @throws Error when `KEY_ENCRYPTION_SECRET` is set, and is another one
 */
export async function findMovedSecret(
  db: Executor,
  { current, previous, secretFile }: Candidates,
): Promise<SecretPlace> {
  const beside = existsSync(secretFile)
    ? new RootSecret(secretBesideDatabase(secretFile, false))
    : undefined;
  if (current !== undefined) {
    const given = new RootSecret(current);
    const before = previous === undefined ? undefined : new RootSecret(previous);
    const keys = await load(db, new RootSecrets(given, before));
    // Without managed keys only the refresh tokens depend on it, and do not tell on which.
    if (keys === 0 && beside !== undefined && beside.id !== given.id) {
      throw new Error(`KEY_ENCRYPTION_SECRET is not what ${secretFile} has: set it to that.`);
    }
    return { kind: 'environment' };
  }
  if (beside === undefined) return undefined;
  try {
    await load(db, new RootSecrets(beside, undefined, secretFile));
    return { kind: 'file', file: secretFile };
  } catch {
    return undefined; // It ran with KEY_ENCRYPTION_SECRET.
  }
}

/** @returns how many keys it decrypts, all there are */
async function load(db: Executor, secrets: RootSecrets): Promise<number> {
  const { keys } = await new KeyStore(db, secrets).load();
  return keys.length;
}
