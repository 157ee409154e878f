import type { Type } from '@nestjs/common';
import { metadataOf, requiredScopes } from '../http/route-access.js';
import { ALLOWS_PASSWORD_CHANGE } from './allow-password-change.js';
import { RECENT_LOGIN } from './require-recent-login.js';
import { SESSION_ONLY } from './session-only.js';

/** What a handler asks of an access token beyond that it is valid, by its decorators. */
export interface Demand {
  scopes: readonly string[];
  allowsPasswordChange: boolean;
  sessionOnly: boolean;
  /** Seconds that the login may be old. */
  recentLogin: number | undefined;
}

export function readDemand(controller: Type, handler: (...args: never[]) => unknown): Demand {
  return {
    scopes: requiredScopes(controller, handler),
    allowsPasswordChange: Reflect.hasMetadata(ALLOWS_PASSWORD_CHANGE, handler),
    sessionOnly: metadataOf<true>(SESSION_ONLY, controller, handler) === true,
    recentLogin: metadataOf<number>(RECENT_LOGIN, controller, handler),
  };
}

/** Whether a handler asks for anything that only `JwtAuthGuard` looks at. */
export function asksForToken({ scopes, sessionOnly, recentLogin }: Demand): boolean {
  return scopes.length > 0 || sessionOnly || recentLogin !== undefined;
}
