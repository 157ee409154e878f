import { tokenExpired, tokenInvalid } from '../errors.js';
import type { JsonObject } from './compact-form.js';

/** The claims of an access token: the profile of RFC 9068 section 2.2, and three of ours. */
export interface AccessTokenClaims {
  iss: string;
  sub: string;
  aud: string;
  client_id: string;
  /** Epoch seconds, as all times here. */
  iat: number;
  exp: number;
  auth_time: number;
  jti: string;
  /** The session. */
  sid: string;
  /** Space-separated. */
  scope: string;
  /** The user generation at the time of issue. */
  gen: number;
  username: string;
}

/** The one client there is: Latchkey's own first-party login. */
export const CLIENT_ID = 'latchkey';

/** Seconds by which two clocks may differ. */
const LEEWAY = 5;
/** Seconds: no token of ours lives longer, whoever signed it. */
const MAX_LIFETIME = 86_400;
const MAX_TEXT = 256;

interface Policy {
  issuer: string;
  audience: string;
  /** Epoch seconds. */
  now: number;
}

/**
 * The claims of a token whose signature is proven, each present and of its type.
 * @throws token_expired when nothing but time is wrong with it, otherwise token_invalid
 */
export function checkClaims(payload: JsonObject, policy: Policy): AccessTokenClaims {
  const claims = typed(payload);
  if (claims === undefined) throw tokenInvalid();
  const { iss, aud, client_id, iat, exp, auth_time } = claims;
  if (iss !== policy.issuer || aud !== policy.audience || client_id !== CLIENT_ID) {
    throw tokenInvalid();
  }
  if (iat > policy.now + LEEWAY || auth_time > policy.now + LEEWAY) throw tokenInvalid();
  if (exp <= iat || exp - iat > MAX_LIFETIME) throw tokenInvalid();
  if (!isDue(payload['nbf'], policy.now)) throw tokenInvalid();
  if (isExpired(claims, policy.now)) throw tokenExpired();
  return claims;
}

/** @param now epoch seconds */
export function isExpired({ exp }: { exp: number }, now: number): boolean {
  return now >= exp + LEEWAY;
}

function typed(payload: JsonObject): AccessTokenClaims | undefined {
  const { iss, sub, aud, client_id, jti, sid, scope, username } = payload;
  const { iat, exp, auth_time, gen } = payload;
  const complete =
    [iss, sub, aud, client_id, jti, sid, username].every(isText) &&
    typeof scope === 'string' &&
    scope.length <= MAX_TOKEN_SCOPE &&
    [iat, exp, auth_time, gen].every(isCount);
  return complete ? (payload as unknown as AccessTokenClaims) : undefined;
}

const MAX_TOKEN_SCOPE = 2048;

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** `nbf` is optional (RFC 7519 section 4.1.5); we never set it, and honour it. */
function isDue(notBefore: unknown, now: number): boolean {
  return notBefore === undefined || (isCount(notBefore) && (notBefore as number) <= now + LEEWAY);
}
