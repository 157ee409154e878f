import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import {
  insufficientScope,
  LatchkeyError,
  passwordChangeRequired,
  recentLoginRequired,
  sessionRequired,
  tokenInvalid,
  tokenMissing,
} from '../errors.js';
import { isApiToken } from '../api-tokens/api-token.js';
import { ApiTokenVerification } from '../api-tokens/api-token-verification.js';
import { Clock } from '../clock.js';
import { PASSWORD_CHANGE } from '../roles.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import type { Principal } from '../tokens/principal.js';
import { Authenticates } from './authenticates.js';
import { type Demand, readDemand } from './demand.js';
import { PresentedToken } from './presented-token.js';

/**
 * Lets a request through whose access token is valid, and puts who it speaks for into
 * `request.user`. A token seen before is answered at once, without a promise.
 */
@Injectable()
@Authenticates('bearer')
export class JwtAuthGuard extends AuthGuard('jwt') {
  constructor(
    private readonly tokens: AccessTokens,
    private readonly apiTokens: ApiTokenVerification,
    private readonly presented: PresentedToken,
    @Inject(Clock) private readonly clock: Clock,
  ) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.getArgByIndex<FastifyRequest & { user?: unknown }>(0);
    const token = this.presented.unchecked(request);
    // One way for each form of credential, and none is tried after another.
    const principal = isApiToken(token) ? this.apiTokens.recall(token) : this.tokens.recall(token);
    if (principal === undefined) return this.#verifyAndAuthorize(context);
    request.user = principal;
    this.#authorize(context, principal);
    return true;
  }

  async #verifyAndAuthorize(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest & { user: Principal }>();
    const token = this.presented.read(request);
    if (token === undefined) throw tokenMissing();
    if (isApiToken(token)) request.user = await this.apiTokens.verify(token);
    else await super.canActivate(context);
    this.#authorize(context, request.user);
    return true;
  }

  /** @throws insufficient_scope, access_denied, insufficient_user_authentication */
  #authorize(context: ExecutionContext, { scopes, authTime }: Principal): void {
    const demand = demandOf(context);
    if (scopes.includes(PASSWORD_CHANGE)) {
      if (demand.allowsPasswordChange) return;
      throw passwordChangeRequired();
    }
    if (demand.sessionOnly && authTime === undefined) throw sessionRequired();
    const missing = demand.scopes.filter((scope) => !scopes.includes(scope));
    if (missing.length > 0) throw insufficientScope(missing);
    const { recentLogin } = demand;
    if (recentLogin === undefined) return;
    const age = this.clock.seconds() - (authTime ?? 0);
    if (age > recentLogin) throw recentLoginRequired(recentLogin);
  }

  /** passport drops the reason of a failure; what we threw ourselves goes on, and bugs do. */
  override handleRequest<User>(error: unknown, user: User | false, info: unknown): User {
    if (error !== null && error !== undefined) throw error as Error;
    if (user) return user;
    throw info instanceof LatchkeyError ? info : tokenInvalid();
  }
}

/** What each handler asks for, read from its decorators once. */
const demands = new WeakMap<object, Map<object, Demand>>();

function demandOf(context: ExecutionContext): Demand {
  const controller = context.getClass();
  const handler = context.getHandler();
  let byHandler = demands.get(controller);
  if (byHandler === undefined) demands.set(controller, (byHandler = new Map<object, Demand>()));
  let demand = byHandler.get(handler);
  if (demand === undefined) {
    demand = readDemand(controller, handler as (...args: never[]) => unknown);
    byHandler.set(handler, demand);
  }
  return demand;
}
