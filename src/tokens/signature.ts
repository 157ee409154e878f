import type { JwtService } from '@nestjs/jwt';
import type { VerificationKey } from '../keys/signing-key.js';
import { invalid } from './fault.js';

/**
 * Checks a signature outside of a request, with the library that passport-jwt has and what
 * `JwtStrategy` tells it. @throws token_invalid
 */
export function checkSignature(
  jwt: JwtService,
  token: string,
  { kid, algorithm, verify }: VerificationKey,
): void {
  try {
    jwt.verify(token, {
      publicKey: verify as unknown as Buffer, // only its types know no KeyObject
      algorithms: [algorithm],
      ignoreExpiration: true,
      ignoreNotBefore: true,
    });
  } catch {
    throw invalid('signature', `it was not made with the key ${kid}, or not over this content`);
  }
}
