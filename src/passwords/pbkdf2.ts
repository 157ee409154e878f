import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** What a PBKDF2 hash says of itself (RFC 8018 section 5.2). */
export interface Pbkdf2Hash {
  kind: 'pbkdf2';
  digest: 'sha256' | 'sha512';
  iterations: number;
  salt: Buffer;
  derived: Buffer;
}

const PASSLIB =
  /^\$pbkdf2-(sha256|sha512)\$([1-9]\d{0,9})\$([./A-Za-z0-9]{1,172})\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})$/;
const DJANGO = /^pbkdf2_(sha256)\$([1-9]\d{0,9})\$([A-Za-z0-9]{1,128})\$([A-Za-z0-9+/]{43}=)$/;

const LENGTH = { sha256: 32, sha512: 64 };

/**
 * The verifier obeys this number: twice what Django asks for by now, and half a second's work.
 */
const MOST_ITERATIONS = 2_000_000;

const derive = promisify(pbkdf2);

/**
 * Reads a PBKDF2 hash as passlib writes it (bytes in base64 without padding, `.` for `+`), or as
 * Django does (the salt is the text itself).
 * @returns undefined for any other text, and for more iterations than are obeyed
 */
export function parsePbkdf2(text: string): Pbkdf2Hash | undefined {
  const passlib = PASSLIB.exec(text);
  const [, digest, count, salt = '', derived = ''] = passlib ?? DJANGO.exec(text) ?? [];
  if (digest !== 'sha256' && digest !== 'sha512') return undefined;
  const hash: Pbkdf2Hash = {
    kind: 'pbkdf2',
    digest,
    iterations: Number(count),
    salt: passlib ? adaptedBase64(salt) : Buffer.from(salt),
    derived: passlib ? adaptedBase64(derived) : Buffer.from(derived, 'base64'),
  };
  const obeyed = hash.iterations <= MOST_ITERATIONS && hash.derived.length === LENGTH[digest];
  return obeyed ? hash : undefined;
}

/** In libuv's thread pool. */
export async function matchesPbkdf2(
  { digest, iterations, salt, derived }: Pbkdf2Hash,
  password: string,
): Promise<boolean> {
  const found = await derive(password, salt, iterations, derived.length, digest);
  return timingSafeEqual(found, derived);
}

const adaptedBase64 = (text: string): Buffer => Buffer.from(text.replaceAll('.', '+'), 'base64');
