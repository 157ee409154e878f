import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { bearerToken, uncheckedToken } from './bearer-token.js';
import { Cookies } from './cookies.js';
import { SameOrigin } from './same-origin.js';

/** They change nothing (RFC 9110 section 9.2.1), and no other page can read the answer. */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * The access token of a request, by one path: with an `Authorization` header a cookie is ignored,
 * never a fallback, or a request could be judged by a credential that its sender did not mean.
 */
@Injectable()
export class PresentedToken {
  constructor(
    private readonly cookies: Cookies,
    private readonly sameOrigin: SameOrigin,
  ) {}

  /** @throws invalid_request, token_invalid, and access_denied for the cookie of a forged request */
  read(request: FastifyRequest): string | undefined {
    const { authorization, cookie } = request.headers;
    if (authorization !== undefined) return bearerToken(request);
    if (cookie === undefined) return undefined;
    const token = this.cookies.accessToken(request);
    if (token !== undefined && !SAFE_METHODS.has(request.method)) this.sameOrigin.require(request);
    return token;
  }

  /** The same to be looked for among those that were checked before; an empty text for none. */
  unchecked(request: FastifyRequest): string {
    const { authorization } = request.headers;
    return authorization === undefined ? (this.read(request) ?? '') : uncheckedToken(request);
  }
}
