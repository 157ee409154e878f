import type { FastifyInstance } from 'fastify';

/**
 * Constants on every response, errors included: computed once, not per request. An API's answers
 * are no pages: nothing in them may load, frame or be sniffed (OWASP REST Security Cheat Sheet),
 * and nothing is cached unless its handler says so.
 */
export function securityHeaders(issuer: string): Readonly<Record<string, string>> {
  return {
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    ...(issuer.startsWith('https:') && {
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
    }),
  };
}

export function useSecurityHeaders(fastify: FastifyInstance, issuer: string): void {
  const headers = securityHeaders(issuer);
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id);
    done();
  });
}

/** Nest answers a preflight before any hook of ours has run: it gets them on its way out. */
export function usePreflightHeaders(fastify: FastifyInstance, issuer: string): void {
  const headers = securityHeaders(issuer);
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    if (!reply.hasHeader('x-request-id')) reply.headers(headers).header('x-request-id', request.id);
    done();
  });
}
