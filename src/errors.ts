/**
 * The errors a caller can see, as values. Thrown where they are found; `http/error-filter.ts`
 * is the only place that turns one into a response.
 */

/** The word on the wire: RFC 6749 section 5.2, RFC 6750 section 3.1, and ours in their style. */
export type ErrorWord =
  | 'invalid_request'
  | 'invalid_grant'
  | 'invalid_client'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'unauthorized'
  | 'invalid_token'
  | 'insufficient_user_authentication'
  | 'insufficient_scope'
  | 'access_denied'
  | 'not_found'
  | 'conflict'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'headers_too_large'
  | 'too_many_requests'
  | 'temporarily_unavailable'
  | 'server_error';

/** The closed list of stable codes, so that a client can tell "refresh" from "log in again". */
export type ErrorCode =
  // 401
  | 'token_missing'
  | 'token_invalid'
  | 'token_expired'
  | 'token_revoked'
  | 'login_failed'
  | 'client_unknown'
  // the request
  | 'request_malformed'
  | 'request_too_large'
  | 'media_type_unsupported'
  | 'validation_failed'
  | 'grant_unsupported'
  | 'scope_invalid'
  | 'scope_missing'
  | 'session_ended'
  | 'login_too_old'
  | 'session_required'
  | 'target_invalid'
  | 'password_change_required'
  // the resource
  | 'not_found'
  | 'access_denied'
  | 'origin_forbidden'
  | 'conflict'
  | 'registration_closed'
  | 'user_unknown'
  | 'session_unknown'
  | 'api_token_unknown'
  | 'too_many_api_tokens'
  | 'last_administrator'
  | 'username_taken'
  // the server
  | 'too_many_attempts'
  | 'busy'
  | 'database_unavailable'
  | 'state_stale'
  | 'internal';

/** What is wrong with each field: `{"username": ["username must be ..."]}`. */
export type FieldErrors = Record<string, string[]>;

interface Details {
  /** Whole seconds after which trying again makes sense. */
  retryAfter?: number;
  fields?: FieldErrors;
  /** The scopes that are missing, space-separated (RFC 6750 section 3). */
  scope?: string;
  /** Seconds that a login may be old (RFC 9470 section 3). */
  maxAge?: number;
  /** Of what others threw, where it is not that of the word. */
  status?: number;
}

export class LatchkeyError extends Error {
  /**
   * @param error the word of the RFC
   * @param code the stable code
   * @param description for people: ASCII without `"` and `\` (RFC 6749 section 5.2), never a
   *   library's message, never anything the caller sent
   */
  constructor(
    readonly error: ErrorWord,
    readonly code: ErrorCode,
    readonly description: string,
    readonly details: Details = {},
  ) {
    super(description);
    this.name = 'LatchkeyError';
  }
}

export const malformed = (description: string): LatchkeyError =>
  new LatchkeyError('invalid_request', 'request_malformed', description);

export const invalidFields = (fields: FieldErrors): LatchkeyError =>
  new LatchkeyError('invalid_request', 'validation_failed', 'Some fields are not valid', {
    fields,
  });

export const tokenMissing = (): LatchkeyError =>
  new LatchkeyError('unauthorized', 'token_missing', 'An access token is required');

/** One text for every fault before a proven signature: no oracle for whoever crafts tokens. */
export const tokenInvalid = (): LatchkeyError =>
  new LatchkeyError('invalid_token', 'token_invalid', 'The access token is not valid');

export const tokenExpired = (): LatchkeyError =>
  new LatchkeyError('invalid_token', 'token_expired', 'The access token expired');

export const tokenRevoked = (): LatchkeyError =>
  new LatchkeyError('invalid_token', 'token_revoked', 'The access token was revoked');

/** The same for an unknown name, a wrong password and a disabled user. */
export const loginFailed = (): LatchkeyError =>
  new LatchkeyError('invalid_grant', 'login_failed', 'The username or password is wrong');

/** One for every refresh token that cannot be used: unknown, expired, ended, used before. */
export const sessionEnded = (): LatchkeyError =>
  new LatchkeyError('invalid_grant', 'session_ended', 'The session ended: log in again');

export const sessionUnknown = (): LatchkeyError =>
  new LatchkeyError('not_found', 'session_unknown', 'There is no such session');

/** RFC 8707 section 2. */
export const targetInvalid = (): LatchkeyError =>
  new LatchkeyError('invalid_target', 'target_invalid', 'The requested resource is unknown');

/** For who logs in with a one-time password: no other service could let them do anything. */
export const targetNeedsPasswordChange = (): LatchkeyError =>
  new LatchkeyError(
    'invalid_target',
    'password_change_required',
    'The password must be changed first: log in without a resource',
  );

export const apiTokenUnknown = (): LatchkeyError =>
  new LatchkeyError('not_found', 'api_token_unknown', 'There is no such API token');

export const conflict = (code: ErrorCode, description: string): LatchkeyError =>
  new LatchkeyError('conflict', code, description);

/** An API token at a route where somebody has to have logged in. */
export const sessionRequired = (): LatchkeyError =>
  new LatchkeyError('access_denied', 'session_required', 'An API token may not do this: log in');

/** RFC 9470 section 3. @param maxAge seconds */
export const recentLoginRequired = (maxAge: number): LatchkeyError =>
  new LatchkeyError(
    'insufficient_user_authentication',
    'login_too_old',
    'A more recent login is required',
    { maxAge },
  );

export const notFound = (): LatchkeyError =>
  new LatchkeyError('not_found', 'not_found', 'There is nothing here');

export const userUnknown = (): LatchkeyError =>
  new LatchkeyError('not_found', 'user_unknown', 'There is no such user');

export const scopeInvalid = (): LatchkeyError =>
  new LatchkeyError(
    'invalid_scope',
    'scope_invalid',
    'A requested scope is unknown or not granted',
  );

/** @param retryAfter whole seconds */
export const tooManyRequests = (retryAfter: number): LatchkeyError =>
  new LatchkeyError('too_many_requests', 'too_many_attempts', 'Too many attempts: wait a while', {
    retryAfter,
  });

/** RFC 6750 section 3.1. @param missing the scopes that the token does not carry */
export const insufficientScope = (missing: readonly string[]): LatchkeyError =>
  new LatchkeyError(
    'insufficient_scope',
    'scope_missing',
    `The access token lacks the scope ${missing.join(' ')}`,
    { scope: missing.join(' ') },
  );

/** A token of a password that was made for the user opens nothing but the change of it. */
export const passwordChangeRequired = (): LatchkeyError =>
  new LatchkeyError(
    'access_denied',
    'password_change_required',
    'The password must be changed first, at /users/me/password',
  );

/** A page of another origin sent what only pages of this one may. */
export const originForbidden = (): LatchkeyError =>
  new LatchkeyError('access_denied', 'origin_forbidden', 'Pages of that origin may not do this');

/** The server cannot do it now and says when to ask again. */
export const unavailable = (
  code: 'busy' | 'database_unavailable' | 'state_stale',
  retryAfter: number,
): LatchkeyError =>
  new LatchkeyError('temporarily_unavailable', code, 'The service cannot answer this now', {
    retryAfter,
  });

/** What lies behind an error, for the log: nothing that a caller sent. */
export function causeOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown };
  const { message, code } = cause as { message?: string; code?: string };
  // Where several addresses were tried, Node gives no message.
  return message || (code ?? String(cause));
}
