import type { Session } from '../sessions/sessions.js';
import type { Grant } from '../tokens/access-tokens.js';

/** What a login and a refresh give. All durations are seconds. */
export interface IssuedTokens {
  accessToken: string;
  expiresIn: number;
  scopes: readonly string[];
  /** Undefined for a session that ends with its access token. */
  refresh?: {
    token: string;
    /** Until when it must be used. */
    expiresIn: number;
    /** Until the session ends, however often it is refreshed. */
    sessionExpiresIn: number;
  };
}

export function toIssued(
  { session: { refresh }, scopes, issuedAt, expiresAt }: Grant & { session: Session },
  accessToken: string,
): IssuedTokens {
  const until = (time: number): number => time / 1000 - issuedAt;
  return {
    accessToken,
    expiresIn: expiresAt - issuedAt,
    scopes,
    ...(refresh && {
      refresh: {
        token: refresh.token,
        expiresIn: until(refresh.expiresAt),
        sessionExpiresIn: until(refresh.sessionExpiresAt),
      },
    }),
  };
}
