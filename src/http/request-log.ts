import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

/**
 * One line a request: who asked (by id), for which route, what came of it and how long it took.
 * The route is its pattern, so that no query and no path parameter reaches the log.
 */
export function useRequestLog(fastify: FastifyInstance, log: Logger): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    const { user } = request as { user?: { id?: string } };
    log.info({
      req: request.id,
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 100) / 100,
      ip: request.ip,
      sub: user?.id,
    });
    done();
  });
}
