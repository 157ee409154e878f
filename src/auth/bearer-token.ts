import type { FastifyRequest } from 'fastify';
import { malformed, tokenInvalid } from '../errors.js';
import { MAX_TOKEN_LENGTH } from '../tokens/compact-form.js';

/** RFC 6750 section 2.1 and RFC 9110 section 11.4: a scheme, spaces, one token68, and the end. */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
const BEARER_SCHEME = /^bearer( |$)/i;

/**
 * The token of the one `Authorization: Bearer` header. Nothing is read from anywhere else.
 *
 * @returns undefined where there is none, or the header is of another scheme
 * @throws invalid_request for two headers; token_invalid for what is no single token
 */
export function bearerToken(request: FastifyRequest): string | undefined {
  const { authorization } = request.headers;
  if (authorization === undefined) return undefined;
  if (hasTwo(request.raw.rawHeaders)) {
    throw malformed('There must be one Authorization header');
  }
  const token = BEARER.exec(authorization)?.[1];
  if (token !== undefined && token.length <= MAX_TOKEN_LENGTH) return token;
  // "Bearer" and nothing after it presents no credentials.
  if (!BEARER_SCHEME.test(authorization) || /^bearer *$/i.test(authorization)) return undefined;
  throw tokenInvalid();
}

/**
 * What may be that token, to be looked for among those that were checked before: to check all of a
 * long text takes longer than to find it.
 *
 * @returns an empty text where there is none
 */
export function uncheckedToken({ headers, raw }: FastifyRequest): string {
  const { authorization = '' } = headers;
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') return '';
  return hasTwo(raw.rawHeaders) ? '' : authorization.slice(7);
}

/** Node keeps the first of two `Authorization` headers, silently. */
function hasTwo(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 13 && name.toLowerCase() === 'authorization') count++;
  }
  return count > 1;
}
