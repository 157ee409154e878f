import { type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Cookies } from '../auth/cookies.js';
import { LocalAuthGuard } from '../auth/local-auth.guard.js';
import { SameOrigin } from '../auth/same-origin.js';
import { parametersOf, scopeParameter } from '../http/parameters.js';

export interface LoginRequest {
  username: string | undefined;
  password: string | undefined;
  /** Undefined for all that the user has. */
  scopes: readonly string[] | undefined;
  /** Of the session that this browser had: shows that it is the owner who logs in. */
  refreshToken: string | undefined;
}

/**
 * Asks for a username and a password, sent by a page that may: another one would log its visitor
 * in as somebody else, who then reads what the visitor writes (login CSRF).
 */
@Injectable()
export class LoginRequestGuard extends LocalAuthGuard {
  constructor(
    private readonly sameOrigin: SameOrigin,
    private readonly cookies: Cookies,
  ) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    this.sameOrigin.require(request);
    const parameter = parametersOf(request.body);
    const loginRequest: LoginRequest = {
      username: parameter('username'),
      password: parameter('password'),
      scopes: scopeParameter(request.body),
      refreshToken: this.cookies.refreshToken(request),
    };
    request.body = loginRequest;
    return super.canActivate(context);
  }
}
