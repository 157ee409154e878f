import { LatchkeyError, malformed } from '../errors.js';
import { parametersOf, scopeParameter } from '../http/parameters.js';

interface AnyTokenRequest {
  /** Undefined where no scope was asked for. */
  scopes: readonly string[] | undefined;
  /** For which service (RFC 8707 section 2); undefined for this one. */
  resource: string | undefined;
}

/** RFC 6749 section 4.3.2. */
export interface PasswordGrantRequest extends AnyTokenRequest {
  grant: 'password';
  username: string;
  password: string;
  /** Of an earlier session: shows that it is the owner who logs in while others guess. */
  refreshToken: string | undefined;
}

/** RFC 6749 section 6. */
export interface RefreshGrantRequest extends AnyTokenRequest {
  grant: 'refresh_token';
  refreshToken: string;
}

export type TokenRequest = PasswordGrantRequest | RefreshGrantRequest;

/**
 * Reads the body of a token request.
 * @throws invalid_request, unsupported_grant_type, invalid_scope
 */
export function parseTokenRequest(body: unknown): TokenRequest {
  const parameter = parametersOf(body);
  const grant = parameter('grant_type');
  const refreshToken = parameter('refresh_token');
  const asked = () => ({ scopes: scopeParameter(body), resource: parameter('resource') });
  if (grant === 'refresh_token') {
    if (refreshToken === undefined) throw malformed('refresh_token is required');
    return { grant, refreshToken, ...asked() };
  }
  // The tutorial's curl sends no grant_type, and means a password.
  if (grant === undefined && refreshToken !== undefined) {
    throw malformed('grant_type is required with a refresh_token');
  }
  if (grant !== undefined && grant !== 'password') throw unsupportedGrant();
  const username = parameter('username');
  const password = parameter('password');
  if (username === undefined) throw malformed('username is required');
  if (password === undefined) throw malformed('password is required');
  return { grant: 'password', username, password, refreshToken, ...asked() };
}

export const unsupportedGrant = (): LatchkeyError =>
  new LatchkeyError(
    'unsupported_grant_type',
    'grant_unsupported',
    'That grant_type is not offered',
  );
