// A service that checks access tokens by itself, with a JWKS that it keeps as long as it may.
import { createPublicKey, verify } from 'node:crypto';
import { call } from './client.mjs';

/**
 * @param read gives the key set
 * @param maxAge milliseconds that it is kept
 * @param now the service's clock, epoch milliseconds
 */
export function cached(read, maxAge, now) {
  let known;
  return async () => {
    if (known === undefined || now() >= known.readAt + maxAge) {
      known = { readAt: now(), keys: await read() };
    }
    return known.keys;
  };
}

/** The published keys, by `kid`. */
export async function fetchKeys(server) {
  const { status, body } = await call(server, '/.well-known/jwks.json');
  if (status !== 200) throw new Error(`The JWKS was answered ${status}`);
  return new Map(body.keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: 'jwk' })]));
}

/**
 * Whether a token is good by the keys and its times. An unknown `kid` does not make it fetch the
 * keys again, as it would many: it has to do with what it kept.
 * @param now epoch milliseconds
 */
export async function accepts(keys, token, now) {
  const [header, payload, signature] = token.split('.');
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
  const { iat, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const key = (await keys()).get(kid);
  if (key === undefined || now / 1000 >= exp + 5 || now / 1000 < iat - 5) return false;
  return verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
}
