import { jwks } from './jwks.js';
import {
  generateSigningKey,
  loadSigningKey,
  type ManagedAlgorithm,
  secretKey,
} from './signing-key.js';

async function key(algorithm: ManagedAlgorithm) {
  const { kid, pkcs8 } = await generateSigningKey(algorithm);
  return loadSigningKey(kid, algorithm, pkcs8);
}

const SHARED = secretKey('k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN');

describe('The published key set', () => {
  it('has of each key its public members, its kid, its one algorithm and its use', async () => {
    const [ec, rsa] = [await key('ES256'), await key('RS256')];
    const published = jwks([ec, rsa]).keys;
    expect(published).toEqual([
      {
        ...{ kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String) },
        ...{ kid: ec.kid, alg: 'ES256', use: 'sig' },
      },
      {
        ...{ kty: 'RSA', n: expect.any(String), e: 'AQAB' },
        ...{ kid: rsa.kid, alg: 'RS256', use: 'sig' },
      },
    ]);
  });

  it('has no private member of any kind (RFC 7518 section 6)', async () => {
    const text = JSON.stringify(jwks([await key('ES256'), await key('RS256'), SHARED]));
    const members = new Set([...text.matchAll(/"(\w+)":/g)].map(([, name]) => name));
    for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) {
      expect(members).not.toContain(name);
    }
  });

  it('does not know of shared secrets', async () => {
    expect(jwks([SHARED])).toEqual({ keys: [] });
    const ec = await key('ES256');
    expect(jwks([SHARED, ec]).keys.map(({ kid }) => kid)).toEqual([ec.kid]);
    expect(jwks([])).toEqual({ keys: [] });
  });
});
