import { type ExecutionContext, Injectable } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { LatchkeyError, tokenInvalid, tokenMissing } from '../errors.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { Authenticates } from './authenticates.js';
import { bearerToken } from './bearer-token.js';

/**
 * Lets a request through whose access token is valid, and puts who it speaks for into
 * `request.user`. A token seen before is answered at once, without a promise.
 */
@Injectable()
@Authenticates('bearer')
export class JwtAuthGuard extends AuthGuard('jwt') {
  constructor(private readonly tokens: AccessTokens) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest & { user?: unknown }>();
    const token = bearerToken(request);
    if (token === undefined) throw tokenMissing();
    const principal = this.tokens.recall(token);
    if (principal === undefined) return super.canActivate(context) as Promise<boolean>;
    request.user = principal;
    return true;
  }

  /** passport drops the reason of a failure; what we threw ourselves goes on, and bugs do. */
  override handleRequest<User>(error: unknown, user: User | false, info: unknown): User {
    if (error !== null && error !== undefined) throw error as Error;
    if (user) return user;
    throw info instanceof LatchkeyError ? info : tokenInvalid();
  }
}
