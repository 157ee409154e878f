import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const ALLOWS_PASSWORD_CHANGE = 'latchkey:allows-password-change';

/** Lets a token through that may do nothing but change a password made by somebody else. */
export const AllowPasswordChange = (): CustomDecorator => SetMetadata(ALLOWS_PASSWORD_CHANGE, true);
