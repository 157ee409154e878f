import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type DestinationStream, type Logger, symbols } from 'pino';
import type { Clock } from '../clock.js';

/**
 * One line a request: who asked (by id), for which route, what came of it and how long it took.
 * The route is its pattern, so that no query and no path parameter reaches the log.
 */
export function useRequestLog(fastify: FastifyInstance, log: Logger, clock: Clock): void {
  if (!log.isLevelEnabled('info')) return;
  // Among the logger's lines, but not by it: for a line whose fields are always the same, and
  // none a secret, what it does for any other would take a seventh of a request's time.
  const stream = (log as unknown as Record<symbol, DestinationStream>)[symbols.streamSym]!;
  fastify.addHook('onResponse', (request, reply, done) => {
    stream.write(toLine(request, reply, clock.now()));
    done();
  });
}

function toLine(request: FastifyRequest, reply: FastifyReply, now: number): string {
  const { user } = request as { user?: { id?: string } };
  const route = JSON.stringify(request.routeOptions.url ?? null);
  const milliseconds = Math.round(reply.elapsedTime * 100) / 100;
  const sub = user?.id === undefined ? '' : `,"sub":${JSON.stringify(user.id)}`;
  return (
    `{"level":"info","time":"${toText(now)}","req":"${request.id}","method":"${request.method}",` +
    `"route":${route},"status":${reply.statusCode},"ms":${milliseconds},` +
    `"ip":${JSON.stringify(request.ip)}${sub}}\n`
  );
}

let lastTime = NaN;
let lastText = '';

/** RFC 3339. Under load many lines are of one millisecond, which is put into words once. */
function toText(time: number): string {
  if (time !== lastTime) lastText = new Date(time).toISOString();
  lastTime = time;
  return lastText;
}
