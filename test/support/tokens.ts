import { createHmac, type KeyObject, sign as signBytes } from 'node:crypto';
import { Keyring } from '../../src/keys/keyring.js';
import type { TestApp } from './app.js';

/** The three segments of a JWS, decoded. */
export interface TokenParts {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
  signature: string;
}

export const encode = (value: string | Buffer | object): string =>
  Buffer.from(
    typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value),
  ).toString('base64url');

export function parts(token: string): TokenParts {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const decode = (segment: string) =>
    JSON.parse(Buffer.from(segment, 'base64url').toString()) as Record<string, unknown>;
  return { header: decode(header), claims: decode(claims), signature };
}

/** The key that the running application signs with: a token made with it is false in nothing else. */
export function signingKeyOf(app: TestApp): { kid: string; algorithm: string; sign: KeyObject } {
  return app.nest.get(Keyring, { strict: false }).signingKey();
}

export function signature(algorithm: string, key: KeyObject, input: string): string {
  if (algorithm === 'HS256') return createHmac('sha256', key).update(input).digest('base64url');
  const options = algorithm.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' as const } : key;
  return signBytes('sha256', Buffer.from(input), options).toString('base64url');
}

/** Signs what is given, as it is given, with the application's own key. */
export function resign(
  app: TestApp,
  header: string | Buffer | object,
  claims: string | Buffer | object,
): string {
  const { algorithm, sign } = signingKeyOf(app);
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(algorithm, sign, input)}`;
}
