import type { VerificationKey } from './signing-key.js';

/** One public key of the set (RFC 7517 section 4). */
export type PublicJwk = Record<string, string>;

/** The public keys as services fetch them; shared secrets are left out. */
export function jwks(keys: readonly VerificationKey[]): { keys: PublicJwk[] } {
  return {
    keys: keys
      .filter(({ algorithm }) => algorithm !== 'HS256')
      .map(({ kid, algorithm, verify }) => ({
        ...(verify.export({ format: 'jwk' }) as PublicJwk),
        kid,
        alg: algorithm,
        use: 'sig',
      })),
  };
}
