import { hkdfSync, randomBytes, createSecretKey, type KeyObject } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** What is derived from the one secret. Each purpose has its own label, so that no key serves two. */
type Purpose = 'key encryption' | 'secret id' | 'throttle names' | 'refresh tokens' | 'audit seals';

/** A key encryption secret: everything that must be kept from a reader of the database. */
export class RootSecret {
  /** Tells which secret something was encrypted under; says nothing about the secret. */
  readonly id: string;

  constructor(private readonly secret: string) {
    this.id = Buffer.from(this.#derive('secret id', 8)).toString('hex');
  }

  /** A 256-bit key for one purpose (HKDF-SHA-256, RFC 5869). */
  key(purpose: Purpose): KeyObject {
    return createSecretKey(this.#derive(purpose, 32));
  }

  #derive(purpose: Purpose, length: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.secret, '', `latchkey ${purpose} v1`, length));
  }
}

/**
 * The secret kept beside the SQLite file, made on the first start.
 *
 * @param mayCreate false when something in the database is already under a secret
 * @throws when the file is gone although it is needed
 */
export function secretBesideDatabase(file: string, mayCreate: boolean): string {
  if (!existsSync(file)) {
    if (!mayCreate) {
      throw new Error(
        `${file} is missing, and the keys and sessions in the database depend on it: ` +
          'restore the file from a backup, or set KEY_ENCRYPTION_SECRET to its content.',
      );
    }
    createOnce(file, randomBytes(32).toString('base64url'));
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < 32) throw new Error(`${file} is damaged: restore it from a backup.`);
  return secret;
}

/** Whole or not at all, and never over another process's: a link fails where the name exists. */
function createOnce(file: string, content: string): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, `${content}\n`);
    fsyncSync(descriptor);
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(descriptor);
    unlinkSync(draft);
  }
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory);
  closeSync(directory);
}
