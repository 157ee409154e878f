import type { FastifyInstance } from 'fastify';
import { requests } from '../metrics/metrics.js';

/** Observes each answer by its route's pattern: what callers make up does not become a label. */
export function useRequestMetrics(fastify: FastifyInstance): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    requests.observe(
      { method: request.method, route, status: reply.statusCode },
      reply.elapsedTime / 1000,
    );
    done();
  });
}
