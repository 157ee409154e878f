import { hash, verify } from '@node-rs/argon2';
import bcrypt from 'bcrypt';
import type { Argon2Parameters } from '../config/config.js';
import { matchesPbkdf2, parsePbkdf2, type Pbkdf2Hash } from './pbkdf2.js';

/** What a stored hash says of itself, within bounds that are safe to obey. */
export type StoredHash =
  ({ kind: 'argon2id' } & Argon2Parameters) | { kind: 'bcrypt'; cost: number } | Pbkdf2Hash;

const ARGON2ID =
  /^\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** The verifier obeys whatever the hash asks for: these are the most that it may ask. */
const MOST = { memoryCost: 262_144, timeCost: 10, parallelism: 8, bcryptCost: 15 };

/**
 * Reads a stored hash: the PHC string format, bcrypt's modular crypt format, or PBKDF2 as passlib
 * and Django write it.
 * @returns undefined for any other text, and for parameters beyond the bounds
 */
export function parseStoredHash(text: string): StoredHash | undefined {
  const argon2id = ARGON2ID.exec(text);
  if (argon2id) {
    const [memoryCost = 0, timeCost = 0, parallelism = 0] = argon2id.slice(1, 4).map(Number);
    const usable =
      argon2id.slice(4).every(isCanonical) &&
      memoryCost <= MOST.memoryCost &&
      memoryCost >= 8 * parallelism &&
      timeCost <= MOST.timeCost &&
      parallelism <= MOST.parallelism;
    return usable ? { kind: 'argon2id', memoryCost, timeCost, parallelism } : undefined;
  }
  const bcryptHash = BCRYPT.exec(text);
  if (!bcryptHash) return parsePbkdf2(text);
  const cost = Number(bcryptHash[1]);
  return cost >= 4 && cost <= MOST.bcryptCost ? { kind: 'bcrypt', cost } : undefined;
}

/** Whether bytes have this base64: the library throws at a letter too many, or a bit. */
const isCanonical = (text: string): boolean =>
  Buffer.from(text, 'base64').toString('base64').replace(/=+$/, '') === text;

/** Whether a hash is below the current parameters and is replaced at the next login. */
export function isWeaker(stored: StoredHash, current: Argon2Parameters): boolean {
  return (
    stored.kind !== 'argon2id' ||
    stored.memoryCost < current.memoryCost ||
    stored.timeCost < current.timeCost
  );
}

/** A PHC string with a fresh 16-byte salt: argon2id in version 19 is this library's default. */
export function hashPassword(password: string, parameters: Argon2Parameters): Promise<string> {
  return hash(password, parameters);
}

/**
 * bcrypt sees 72 bytes and stops at a NUL, as it did where the hash comes from: NUL is refused,
 * and a longer password is replaced by an argon2id hash of all of it at this very login.
 */
export async function verifyPassword(
  text: string,
  stored: StoredHash,
  password: string,
): Promise<boolean> {
  if (stored.kind === 'argon2id') return verify(text, password);
  if (stored.kind === 'pbkdf2') return matchesPbkdf2(stored, password);
  // PHP's name for the same algorithm, which the library does not know.
  const hash = text.startsWith('$2y$') ? `$2b$${text.slice(4)}` : text;
  return !password.includes('\0') && (await bcrypt.compare(password, hash));
}
