import { type CustomDecorator, SetMetadata } from '@nestjs/common';
import { seconds } from '../config/duration.js';

export const RECENT_LOGIN = 'latchkey:recent-login';

/**
 * Lets only who has logged in lately through: others get 401 and the age that is allowed, and log
 * in again (RFC 9470 section 3). `JwtAuthGuard` reads it.
 * @param maxAge of the login, such as `5m`
 */
export const RequireRecentLogin = (maxAge: `${number}${'s' | 'm' | 'h'}`): CustomDecorator =>
  SetMetadata(RECENT_LOGIN, seconds(maxAge));
