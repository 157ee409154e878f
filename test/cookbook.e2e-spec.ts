import { createPublicKey, createSecretKey, type JsonWebKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { JwtService } from '@nestjs/jwt';
import type { Algorithm } from '../src/keys/signing-key.js';
import { checkSignature } from '../src/tokens/signature.js';
import { startApp } from './support/app.js';
import { bearer, call } from './support/client.js';

interface Vector {
  section: string;
  alg: string;
  key: JsonWebKey;
  compact: string;
}

/** The signatures of RFC 7520 section 4, and of RFC 8037 appendix A.4. */
const VECTORS = JSON.parse(
  readFileSync(new URL('./vectors/rfc7520.json', import.meta.url), 'utf8'),
) as Vector[];

/** RFC 7515 appendix A.3: the cookbook has no signature with P-256. */
const ES256: Vector = {
  section: 'A.3 of RFC 7515',
  alg: 'ES256',
  key: {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  },
  compact:
    'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt' +
    'cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa' +
    '8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
};

const ENABLED = ['ES256', 'RS256', 'HS256'];
const jwt = new JwtService();

function verify({ key, compact }: Vector, algorithm: string): void {
  const verifying =
    key.kty === 'oct'
      ? createSecretKey(key.k!, 'base64url')
      : createPublicKey({ key, format: 'jwk' });
  const verification = { kid: 'x', algorithm: algorithm as Algorithm, verify: verifying };
  checkSignature(jwt, compact, verification);
}

describe.each([...VECTORS, ES256])('The signature of section $section, with $alg,', (vector) => {
  it('is accepted where its algorithm is one of ours, and with no other algorithm', () => {
    for (const algorithm of ENABLED) {
      if (algorithm === vector.alg) expect(() => verify(vector, algorithm)).not.toThrow();
      else expect(() => verify(vector, algorithm)).toThrow();
    }
  });

  it('is refused with one character changed', () => {
    const at = vector.compact.length - 20;
    const other = vector.compact[at] === 'A' ? 'B' : 'A';
    const compact = vector.compact.slice(0, at) + other + vector.compact.slice(at + 1);
    expect(() => verify({ ...vector, compact }, vector.alg)).toThrow();
  });
});

it('None of the published tokens opens anything', async () => {
  const app = await startApp();
  for (const { compact } of [...VECTORS, ES256]) {
    const { status, body } = await call(app, '/secure-data', bearer(compact));
    expect([status, body['code']]).toEqual([401, 'token_invalid']);
  }
  await app.close();
});
