import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { LocalAuthGuard } from '../auth/local-auth.guard.js';
import { Config } from '../config/config.js';
import { targetInvalid } from '../errors.js';
import { refuseClient } from './client-check.js';
import { parseTokenRequest, unsupportedGrant } from './token-request.js';

/** Turns the body into a token request, then asks for what its grant needs. */
@Injectable()
export class TokenRequestGuard extends LocalAuthGuard {
  constructor(@Inject(Config) private readonly config: Config) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    refuseClient(request);
    const tokenRequest = parseTokenRequest(request.body);
    const { issuer, audiences, passwordGrant } = this.config;
    const { grant, resource = issuer } = tokenRequest;
    if (grant === 'password' && !passwordGrant) throw unsupportedGrant();
    if (![issuer, ...audiences].includes(resource)) throw targetInvalid();
    request.body = tokenRequest;
    // A refresh token is its own proof, and is judged where it is used up.
    return grant === 'refresh_token' || super.canActivate(context);
  }
}
