import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-jwt';
import { tokenMissing } from '../errors.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import type { Principal } from '../tokens/principal.js';
import { refuseSecondApplication } from './passport-registry.js';
import { PresentedToken } from './presented-token.js';

/**
 * Lets passport-jwt check the signature, between our checks of the header and of the claims.
 * All times are left to the claims: jsonwebtoken does not know the injected clock.
 */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    private readonly tokens: AccessTokens,
    private readonly presented: PresentedToken,
  ) {
    refuseSecondApplication('jwt');
    super({
      jwtFromRequest: (request: FastifyRequest) => presented.read(request) ?? null,
      // The header's algorithm is the key's own one, or this throws.
      secretOrKeyProvider: (_request: unknown, token: string, done) =>
        // passport-jwt passes a KeyObject on to jsonwebtoken; only its types know none.
        done(null, tokens.keyFor(token).verify as unknown as Buffer),
      algorithms: ['ES256', 'RS256', 'HS256'],
      ignoreExpiration: true,
      jsonWebTokenOptions: { ignoreNotBefore: true },
      passReqToCallback: true,
    });
  }

  /** Called with a proven signature. @throws what `AccessTokens.accept` throws */
  validate(request: FastifyRequest): Principal {
    const token = this.presented.read(request);
    if (token === undefined) throw tokenMissing();
    return this.tokens.accept(token);
  }
}
