import { type CustomDecorator, SetMetadata } from '@nestjs/common';
import { REQUIRED_SCOPES } from '../http/route-access.js';
import type { Scope } from '../roles.js';

/**
 * Lets only tokens through that carry all of these scopes; others get 403 with the names of the
 * missing ones. `JwtAuthGuard` reads it: on the controller for all of its handlers, or on a handler,
 * whose scopes then stand in place of the controller's.
 */
export const RequireScopes = (...scopes: [Scope, ...Scope[]]): CustomDecorator =>
  SetMetadata(REQUIRED_SCOPES, scopes);
