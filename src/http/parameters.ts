import { malformed, scopeInvalid } from '../errors.js';

/** Characters of a parameter before anything looks at it; bodies are 16 kB anyway. */
const MAX_LENGTH = 4096;

/**
 * Reads the parameters of a body, whichever of the three content types brought it. An empty one
 * counts as absent, an unknown one is ignored (RFC 6749 section 3.2).
 *
 * @throws invalid_request
 */
export function parametersOf(body: unknown): (name: string) => string | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw malformed('The body must be a form or a JSON object');
  }
  return (name) => {
    const value: unknown = Object.hasOwn(body, name)
      ? (body as Record<string, unknown>)[name]
      : undefined;
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string') throw malformed(`${name} must be text`);
    if (!value.isWellFormed() || value.length > MAX_LENGTH) throw malformed(`${name} is not valid`);
    return value;
  };
}

/** The `token` of RFC 7009 section 2.1 and RFC 7662 section 2.1. @throws invalid_request */
export function tokenParameter(body: unknown): string {
  const token = parametersOf(body)('token');
  if (token === undefined) throw malformed('token is required');
  return token;
}

/** scope-token *( SP scope-token ): RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** The `scope` of RFC 6749 section 3.3, each one once. @throws invalid_request, invalid_scope */
export function scopeParameter(body: unknown): readonly string[] | undefined {
  const scope = parametersOf(body)('scope');
  if (scope === undefined) return undefined;
  if (!SCOPE.test(scope)) throw scopeInvalid();
  return [...new Set(scope.split(' '))];
}
