import { LatchkeyError, malformed, scopeInvalid } from '../errors.js';

/** RFC 6749 section 4.3.2. */
export interface PasswordGrantRequest {
  grant: 'password';
  username: string;
  password: string;
  /** Undefined where no scope was asked for. */
  scopes: readonly string[] | undefined;
}

/** Characters of a username or password before anything looks at it; bodies are 16 kB anyway. */
const MAX_LENGTH = 4096;

/**
 * Reads the body of a token request, whichever of the three content types brought it. An empty
 * parameter counts as absent, an unknown one is ignored (RFC 6749 section 3.2).
 *
 * @throws invalid_request, unsupported_grant_type, invalid_scope
 */
export function parseTokenRequest(body: unknown): PasswordGrantRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw malformed('The body must be a form or a JSON object');
  }
  const parameter = (name: string): string | undefined => {
    const value: unknown = Object.hasOwn(body, name)
      ? (body as Record<string, unknown>)[name]
      : undefined;
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string') throw malformed(`${name} must be text`);
    if (!value.isWellFormed() || value.length > MAX_LENGTH) throw malformed(`${name} is not valid`);
    return value;
  };
  const grant = parameter('grant_type');
  if (grant === undefined && parameter('refresh_token') !== undefined) {
    throw malformed('grant_type is required with a refresh_token');
  }
  // The tutorial's curl sends no grant_type, and means a password.
  if (grant !== undefined && grant !== 'password') {
    throw unsupportedGrant();
  }
  const username = parameter('username');
  const password = parameter('password');
  if (username === undefined) throw malformed('username is required');
  if (password === undefined) throw malformed('password is required');
  return { grant: 'password', username, password, scopes: parseScope(parameter('scope')) };
}

export const unsupportedGrant = (): LatchkeyError =>
  new LatchkeyError(
    'unsupported_grant_type',
    'grant_unsupported',
    'That grant_type is not offered',
  );

/** scope-token *( SP scope-token ): RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

function parseScope(scope: string | undefined): readonly string[] | undefined {
  if (scope === undefined) return undefined;
  if (!SCOPE.test(scope)) throw scopeInvalid();
  return [...new Set(scope.split(' '))];
}
