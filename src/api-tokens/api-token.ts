import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 16;
/** 178 random bits. */
const SECRET_LENGTH = 30;
const CHECKSUM_LENGTH = 6;

const PREFIX = 'lk_api_';
const FORM = /^lk_api_([0-9A-Za-z]{16})_([0-9A-Za-z]{30})_([0-9A-Za-z]{6})$/;

/** What an API token is made of. */
export interface ApiTokenParts {
  /** Names it; no secret. */
  id: string;
  secret: string;
}

/**
 * A new API token: `lk_api_<id>_<secret>_<checksum>`, the fields in base62. The checksum is the
 * CRC-32 of all before its underscore, most significant digit first, as `docs/api-tokens.md` has it
 * for secret scanners: a text that only looks like a token is known without a database.
 */
export function makeApiToken(): ApiTokenParts & { token: string } {
  const parts = { id: random(ID_LENGTH), secret: random(SECRET_LENGTH) };
  const body = `${PREFIX}${parts.id}_${parts.secret}`;
  return { ...parts, token: `${body}_${checksum(body)}` };
}

/** Whether a credential is to be read as an API token, right or wrong. */
export const isApiToken = (credential: string): boolean => credential.startsWith(PREFIX);

/** Whether a text can name one. */
export const isApiTokenId = (text: string): boolean => /^[0-9A-Za-z]{16}$/.test(text);

/** The parts of a well-formed token; undefined for any other text. */
export function parseApiToken(token: string): ApiTokenParts | undefined {
  const [, id = '', secret = '', given] = FORM.exec(token) ?? [];
  return given === checksum(`${PREFIX}${id}_${secret}`) ? { id, secret } : undefined;
}

/** What is stored of a secret that is random enough to need no salt and no slowness. */
export const hashSecret = (secret: string): string => hash('sha256', secret, 'base64url');

function random(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

function checksum(text: string): string {
  let digits = '';
  for (let rest = crc32(text); digits.length < CHECKSUM_LENGTH; rest = Math.floor(rest / 62)) {
    digits = ALPHABET[rest % 62] + digits;
  }
  return digits;
}
