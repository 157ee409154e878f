import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';

export type ManagedAlgorithm = 'ES256' | 'RS256';
export type Algorithm = ManagedAlgorithm | 'HS256';

/** A key with the one algorithm it may be used with (RFC 8725 section 3.1). */
export interface VerificationKey {
  kid: string;
  algorithm: Algorithm;
  verify: KeyObject;
}

export interface SigningKey extends VerificationKey {
  sign: KeyObject;
}

/** A new key pair as it is stored: the public half as a JWK, the private half as PKCS #8. */
export async function generateSigningKey(
  algorithm: ManagedAlgorithm,
): Promise<{ kid: string; algorithm: ManagedAlgorithm; publicJwk: JsonWebKey; pkcs8: Buffer }> {
  const { publicKey, privateKey } =
    algorithm === 'ES256'
      ? await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
      : await promisify(generateKeyPair)('rsa', { modulusLength: 3072 });
  const publicJwk = publicKey.export({ format: 'jwk' });
  return {
    kid: thumbprint(publicJwk),
    algorithm,
    publicJwk,
    pkcs8: privateKey.export({ type: 'pkcs8', format: 'der' }),
  };
}

/**
 * @throws Error when the halves do not belong together, or the key is not of its algorithm: what
 *   is loaded is what was made, or it is not used
 */
export function loadSigningKey(
  kid: string,
  algorithm: ManagedAlgorithm,
  pkcs8: Buffer,
): SigningKey {
  const sign = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  const verify = createPublicKey(sign);
  const details = verify.asymmetricKeyDetails;
  const fits =
    algorithm === 'ES256'
      ? verify.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1'
      : verify.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= 2048;
  if (!fits || thumbprint(verify.export({ format: 'jwk' })) !== kid) {
    throw new Error(`The stored signing key ${kid} is not a valid ${algorithm} key`);
  }
  return { kid, algorithm, sign, verify };
}

/** The HS256 key of `JWT_SECRET`; its `kid` is derived, so that it is the same everywhere. */
export function secretKey(secret: string): SigningKey {
  const key = createSecretKey(secret, 'utf8');
  const kid = createHmac('sha256', key).update('latchkey kid').digest('base64url').slice(0, 22);
  return { kid, algorithm: 'HS256', sign: key, verify: key };
}

/** RFC 7638: SHA-256 over the required members in lexicographic order. */
export function thumbprint(jwk: JsonWebKey): string {
  const { kty, crv, x, y, e, n } = jwk;
  const required = kty === 'EC' ? { crv, kty, x, y } : { e, kty, n };
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}
