import type { JsonObject } from './compact-form.js';
import { expired, invalid, quote } from './fault.js';

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
export const LEEWAY = 5;
/** Seconds: no token of ours lives longer, whoever signed it. */
const MAX_LIFETIME = 86_400;
const MAX_TEXT = 256;

interface Policy {
  issuer: string;
  /** The token must be for one of them. */
  audiences: readonly string[];
  /** Epoch seconds. */
  now: number;
}

/**
 * The claims of a token whose signature is proven, each present and of its type.
 * @throws token_expired when nothing but time is wrong with it, otherwise token_invalid
 */
export function checkClaims(payload: JsonObject, policy: Policy): AccessTokenClaims {
  const claims = typed(payload);
  const { iat, exp, auth_time } = claims;
  const { nbf } = payload;
  const { now } = policy;
  requireOneOf('iss', claims.iss, [policy.issuer]);
  requireOneOf('aud', claims.aud, policy.audiences);
  requireOneOf('client_id', claims.client_id, [CLIENT_ID]);
  requireBegun({ iat, auth_time }, now);
  if (exp <= iat) throw invalid('time', `exp (${exp}) is not after iat (${iat})`);
  if (exp - iat > MAX_LIFETIME) {
    throw invalid('time', `it lives for ${exp - iat} s, and ${MAX_LIFETIME} s are the most`);
  }
  // `nbf` is optional (RFC 7519 section 4.1.5); we never set it, and honour it.
  if (nbf !== undefined) {
    if (!isCount(nbf)) throw invalid('time', `nbf is ${quote(nbf)}`);
    requireBegun({ nbf: nbf as number }, now);
  }
  if (isExpired(claims, now)) {
    throw expired(`it expired at ${new Date(exp * 1000).toISOString()}, ${now - exp} s ago`);
  }
  return claims;
}

function requireOneOf(name: string, found: string, wanted: readonly string[]): void {
  if (wanted.includes(found)) return;
  throw invalid('claims', `${name} is ${quote(found)}, not ${wanted.map(quote).join(' or ')}`);
}

/** @param times epoch seconds that must have come */
function requireBegun(times: Record<string, number>, now: number): void {
  for (const [name, time] of Object.entries(times)) {
    if (time > now + LEEWAY) throw invalid('time', `${name} (${time}) is ${time - now} s ahead`);
  }
}

/** @param now epoch seconds */
export function isExpired({ exp }: { exp: number }, now: number): boolean {
  return now >= exp + LEEWAY;
}

function typed(payload: JsonObject): AccessTokenClaims {
  const faulty = CLAIMS.find(([name, isOfItsType]) => !isOfItsType(payload[name]));
  if (faulty !== undefined) {
    const [name] = faulty;
    throw invalid('claims', `${name} is ${quote(payload[name])}`);
  }
  return payload as unknown as AccessTokenClaims;
}

const MAX_TOKEN_SCOPE = 2048;

const isText = (value: unknown): boolean =>
  typeof value === 'string' && value !== '' && value.length <= MAX_TEXT;

const isScope = (value: unknown): boolean =>
  typeof value === 'string' && value.length <= MAX_TOKEN_SCOPE;

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const CLAIMS = Object.entries({
  iss: isText,
  sub: isText,
  aud: isText,
  client_id: isText,
  iat: isCount,
  exp: isCount,
  auth_time: isCount,
  jti: isText,
  sid: isText,
  scope: isScope,
  gen: isCount,
  username: isText,
} satisfies Record<keyof AccessTokenClaims, (value: unknown) => boolean>);
