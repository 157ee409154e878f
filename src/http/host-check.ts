import type { FastifyInstance } from 'fastify';
import { malformed } from '../errors.js';

/**
 * What Node would answer by itself, in words and with headers of its own: a request of HTTP/1.1
 * without a Host (RFC 9112 section 3.2) is refused here, and an expectation that nobody knows is
 * not met, which RFC 9110 section 10.1.1 allows.
 */
export function useHostCheck(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const { headers, httpVersion } = request.raw;
    if (headers.host !== undefined || httpVersion === '1.0') return done();
    reply.header('connection', 'close');
    done(malformed('There must be a Host header'));
  });
  fastify.server.on('checkExpectation', (request, response) => {
    fastify.server.emit('request', request, response);
  });
}
