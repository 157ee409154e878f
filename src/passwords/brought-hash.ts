import { parseStoredHash } from './stored-hash.js';

/**
 * What to store of a hash that another system exported: argon2id, bcrypt and PBKDF2 as they are,
 * and without the name that Django puts before the first two.
 * @returns undefined for what could not be verified here
 */
export function storableHash(text: string): string | undefined {
  const hash = text.replace(/^(?:argon2(?=\$argon2id\$)|bcrypt\$(?=\$2[aby]\$))/, '');
  return parseStoredHash(hash) === undefined ? undefined : hash;
}
