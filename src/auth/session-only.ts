import { type CustomDecorator, SetMetadata } from '@nestjs/common';

export const SESSION_ONLY = 'latchkey:session-only';

/**
 * Refuses API tokens: what is done to an account is done by somebody who logged in. Without it a
 * token that leaked from a program could make more of its kind.
 */
export const SessionOnly = (): CustomDecorator => SetMetadata(SESSION_ONLY, true);
