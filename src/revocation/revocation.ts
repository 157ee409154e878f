/**
 * What must be refused before it expires: one access token (`jti`), one API token (`api`), one
 * session, or every token of a user below a generation. A row lives as long as a token that it refuses could.
 */
export type Revocation = { expiresAt: number } & (
  | {
      kind: 'jti' | 'api' | 'sid';
      subject: string;
      /** With a `jti`: the session of the token. */
      sid?: string;
    }
  | { kind: 'sub'; subject: string; gen: number }
);

/** The claims by which a token can be revoked. */
export interface Revocable {
  jti: string;
  sid: string;
  sub: string;
  gen: number;
}

/**
 * A row outlives its tokens by the verifiers' leeway and a minute of clock difference.
 * @param accessExpiresAt when the last access token in question expires, epoch milliseconds
 */
export function revocationExpiry(accessExpiresAt: number): number {
  return accessExpiresAt + 65_000;
}
