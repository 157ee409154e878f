import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import {
  generateSigningKey,
  loadSigningKey,
  type ManagedAlgorithm,
  secretKey,
  thumbprint,
} from './signing-key.js';

/** RFC 7638 section 3.1, with members that must not count. */
const RFC_7638_KEY = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
  alg: 'RS256',
  kid: '2011-04-29',
};

const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'der' });

/** A private key as it would be stored, under the `kid` that is right for it. */
function stored({ publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject }) {
  return { kid: thumbprint(publicKey.export({ format: 'jwk' })), pkcs8: pkcs8(privateKey) };
}

describe('A kid', () => {
  it('is the thumbprint of RFC 7638, by its own example', () => {
    expect(thumbprint(RFC_7638_KEY)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  it('is over crv, kty, x and y for an elliptic curve', async () => {
    const { kid, publicJwk } = await generateSigningKey('ES256');
    const { x, y } = publicJwk;
    const text = `{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`;
    expect(kid).toBe(createHash('sha256').update(text).digest('base64url'));
  });
});

describe.each<ManagedAlgorithm>(['ES256', 'RS256'])('A new key for %s', (algorithm) => {
  it('is loaded as it was made, and verifies what it signs', async () => {
    const { kid, publicJwk, pkcs8 } = await generateSigningKey(algorithm);
    const key = loadSigningKey(kid, algorithm, pkcs8);
    expect(key).toMatchObject({ kid, algorithm });
    expect(key.verify.export({ format: 'jwk' })).toEqual(publicJwk);
    expect(key.verify.type).toBe('public');
    const signature = sign('sha256', Buffer.from('text'), key.sign);
    expect(verify('sha256', Buffer.from('text'), key.verify, signature)).toBe(true);
  });

  it('has only public members in its public half', async () => {
    const { publicJwk } = await generateSigningKey(algorithm);
    const members = algorithm === 'ES256' ? ['crv', 'kty', 'x', 'y'] : ['e', 'kty', 'n'];
    expect(Object.keys(publicJwk).sort()).toEqual(members);
  });
});

describe('A stored key is refused', () => {
  const p256 = stored(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  const rsa = stored(generateKeyPairSync('rsa', { modulusLength: 2048 }));

  it.each<[string, { kid: string; pkcs8: Buffer }, ManagedAlgorithm]>([
    ['on another curve', stored(generateKeyPairSync('ec', { namedCurve: 'P-384' })), 'ES256'],
    [
      'on a look-alike curve',
      stored(generateKeyPairSync('ec', { namedCurve: 'secp256k1' })),
      'ES256',
    ],
    ['of Edwards form', stored(generateKeyPairSync('ed25519')), 'ES256'],
    ['of RSA for ES256', rsa, 'ES256'],
    ['of a curve for RS256', p256, 'RS256'],
    [
      'of RSA with too short a modulus',
      stored(generateKeyPairSync('rsa', { modulusLength: 1024 })),
      'RS256',
    ],
    ["under another key's kid", { ...p256, kid: rsa.kid }, 'ES256'],
    ['under a kid that differs in case', { ...p256, kid: p256.kid.toLowerCase() }, 'ES256'],
    ['that is no key', { kid: p256.kid, pkcs8: Buffer.from('not a key') }, 'ES256'],
    ['that was cut short', { kid: p256.kid, pkcs8: p256.pkcs8.subarray(0, -1) }, 'ES256'],
  ])('%s', (_, { kid, pkcs8 }, algorithm) => {
    expect(() => loadSigningKey(kid, algorithm, pkcs8)).toThrow();
  });

  it('never for being right', () => {
    expect(loadSigningKey(p256.kid, 'ES256', p256.pkcs8).kid).toBe(p256.kid);
    expect(loadSigningKey(rsa.kid, 'RS256', rsa.pkcs8).kid).toBe(rsa.kid);
  });
});

describe('The key of a shared secret', () => {
  const SECRET = 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN';

  it('is for HS256 alone, under a kid that is the same everywhere and tells nothing', () => {
    const key = secretKey(SECRET);
    expect(key.algorithm).toBe('HS256');
    expect(key.kid).toBe(secretKey(SECRET).kid);
    expect(key.kid).toMatch(/^[\w-]{22}$/);
    expect(key.kid).not.toBe(secretKey(`${SECRET}x`).kid);
    // Not a plain hash either, by which a weak secret could be looked up.
    const plain = createHash('sha256').update(SECRET).digest('base64url');
    expect(plain.startsWith(key.kid)).toBe(false);
  });

  it('takes the secret as UTF-8, to its last character', () => {
    expect(secretKey('ü'.repeat(32)).sign.export()).toEqual(Buffer.from('ü'.repeat(32)));
  });
});
