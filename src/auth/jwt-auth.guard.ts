import { type ExecutionContext, Injectable } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import {
  insufficientScope,
  LatchkeyError,
  passwordChangeRequired,
  tokenInvalid,
  tokenMissing,
} from '../errors.js';
import { requiredScopes } from '../http/route-access.js';
import { PASSWORD_CHANGE } from '../roles.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import type { Principal } from '../tokens/principal.js';
import { ALLOWS_PASSWORD_CHANGE } from './allow-password-change.js';
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
    const request = context.getArgByIndex<FastifyRequest & { user?: unknown }>(0);
    const token = bearerToken(request);
    if (token === undefined) throw tokenMissing();
    const principal = this.tokens.recall(token);
    if (principal === undefined) return this.#verifyAndAuthorize(context);
    request.user = principal;
    authorize(context, principal);
    return true;
  }

  async #verifyAndAuthorize(context: ExecutionContext): Promise<boolean> {
    await super.canActivate(context);
    authorize(context, context.switchToHttp().getRequest<{ user: Principal }>().user);
    return true;
  }

  /** passport drops the reason of a failure; what we threw ourselves goes on, and bugs do. */
  override handleRequest<User>(error: unknown, user: User | false, info: unknown): User {
    if (error !== null && error !== undefined) throw error as Error;
    if (user) return user;
    throw info instanceof LatchkeyError ? info : tokenInvalid();
  }
}

interface Demand {
  scopes: readonly string[];
  allowsPasswordChange: boolean;
}

/** What each handler asks for, read from its decorators once. */
const demands = new WeakMap<object, Map<object, Demand>>();

function demandOf(context: ExecutionContext): Demand {
  const [controller, handler] = [context.getClass(), context.getHandler()];
  let byHandler = demands.get(controller);
  if (byHandler === undefined) demands.set(controller, (byHandler = new Map<object, Demand>()));
  let demand = byHandler.get(handler);
  if (demand === undefined) {
    demand = {
      scopes: requiredScopes(controller, handler as (...args: never[]) => unknown),
      allowsPasswordChange: Reflect.hasMetadata(ALLOWS_PASSWORD_CHANGE, handler),
    };
    byHandler.set(handler, demand);
  }
  return demand;
}

/** @throws insufficient_scope, access_denied */
function authorize(context: ExecutionContext, { scopes }: Principal): void {
  const demand = demandOf(context);
  if (scopes.includes(PASSWORD_CHANGE)) {
    if (demand.allowsPasswordChange) return;
    throw passwordChangeRequired();
  }
  const missing = demand.scopes.filter((scope) => !scopes.includes(scope));
  if (missing.length > 0) throw insufficientScope(missing);
}
