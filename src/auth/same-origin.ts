import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Config } from '../config/config.js';
import { originForbidden } from '../errors.js';

/** `localhost` and the addresses that mean it, as a Host header has them. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/;

/**
 * A browser adds its cookies to whatever any page sends (cross-site request forgery), and SameSite
 * keeps only other sites out: not a sibling domain, and on localhost not even another port. So who
 * wrote a request is asked of what a browser tells and no page can change.
 */
@Injectable()
export class SameOrigin implements CanActivate {
  readonly #allowed: ReadonlySet<string>;

  constructor({ issuer, corsOrigins }: Config) {
    this.#allowed = new Set([issuer, ...corsOrigins]);
  }

  canActivate(context: ExecutionContext): true {
    this.require(context.switchToHttp().getRequest<FastifyRequest>());
    return true;
  }

  /** @throws access_denied unless a page of ours, or one of `CORS_ORIGINS`, sent the request */
  require({ headers }: FastifyRequest): void {
    const { origin, host = '' } = headers;
    if (headers['sec-fetch-site'] === 'same-origin') return;
    if (origin !== undefined) {
      if (this.#allowed.has(origin)) return;
      // Behind no name that an attacker's own could come to mean (DNS rebinding).
      if (LOOPBACK.test(host) && origin === `http://${host}`) return;
    }
    throw originForbidden();
  }
}
