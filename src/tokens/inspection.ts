import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { LatchkeyError } from '../errors.js';
import { Revocations } from '../revocation/revocations.js';
import { AccessTokens } from './access-tokens.js';
import { type AccessTokenClaims, checkClaims } from './claims.js';
import { decodeSegment } from './compact-form.js';
import { checkSignature } from './signature.js';

/** Looks at an access token that is handed in, for whichever service it was made. */
@Injectable()
export class TokenInspection {
  constructor(
    private readonly jwt: JwtService,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly tokens: AccessTokens,
    private readonly revocations: Revocations,
  ) {}

  /**
   * The claims of a token that would be accepted where it was made for, or nothing.
   * @throws temporarily_unavailable
   */
  active(token: string): Readonly<AccessTokenClaims> | undefined {
    const claims = this.#claims(token, this.clock.seconds());
    return claims === undefined || this.revocations.isRevoked(claims) ? undefined : claims;
  }

  /**
   * The claims of a token that is ours, though it may be expired or revoked by now.
   * @throws temporarily_unavailable
   */
  genuine(token: string): Readonly<AccessTokenClaims> | undefined {
    const { iat } = decodeSegment(token, 1) ?? {};
    return this.#claims(token, typeof iat === 'number' ? iat : 0);
  }

  /** @param now epoch seconds at which the token is judged */
  #claims(token: string, now: number): AccessTokenClaims | undefined {
    try {
      checkSignature(this.jwt, token, this.tokens.keyFor(token));
      const { issuer, audiences } = this.config;
      return checkClaims(decodeSegment(token, 1) ?? {}, {
        issuer,
        audiences: [issuer, ...audiences],
        now,
      });
    } catch (error) {
      if (error instanceof LatchkeyError && error.error === 'invalid_token') return undefined;
      throw error;
    }
  }
}
