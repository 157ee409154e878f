import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Clock } from './clock.js';
import { Config } from './config/config.js';
import { LatchkeyError, malformed } from './errors.js';
import { BODY_LIMIT, useBodyParsers } from './http/body-parsers.js';
import { serveDocs } from './http/docs/docs.js';
import { ErrorFilter, toWire } from './http/error-filter.js';
import { checkMediaType } from './http/media-type.js';
import { createDocument } from './http/openapi.js';
import { useHostCheck } from './http/host-check.js';
import { useRequestLog } from './http/request-log.js';
import { useRequestMetrics } from './http/request-metrics.js';
import { collectProcessMetrics } from './metrics/metrics.js';
import {
  securityHeaders,
  usePreflightHeaders,
  useSecurityHeaders,
} from './http/security-headers.js';
import { useValidation } from './http/validation.js';

const errors = new ErrorFilter();

/** The HTTP server, with every limit and timeout set. Milliseconds. */
export function createAdapter({ issuer, trustProxy }: Config): FastifyAdapter {
  const headers = securityHeaders(issuer);
  return new FastifyAdapter({
    bodyLimit: BODY_LIMIT,
    trustProxy:
      typeof trustProxy === 'number'
        ? (_address: string, hop: number) => hop < trustProxy
        : trustProxy,
    requestTimeout: 30_000,
    connectionTimeout: 60_000, // in which nothing moves: who asks for much and does not read it
    keepAliveTimeout: 72_000, // longer than the usual 60 s of a load balancer
    http: {
      headersTimeout: 10_000,
      connectionsCheckingInterval: 5_000,
      requireHostHeader: false, // Node's own answer has none of our headers: see useHostCheck()
    },
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    return503OnClosing: false, // what comes in on an open connection is still answered
    forceCloseConnections: 'idle',
    // Raised before any hook runs, so the hook's headers are added here.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      errors.write(error, request, reply.headers(headers)),
    clientErrorHandler: (error: Error, socket: Socket) => answerRawSocket(error, socket, headers),
  });
}

/**
 * A target that is neither a path nor a URL (RFC 9112 section 3.2) becomes a path that is unknown: fastify
 * answers any other by itself, without a hook, so without our headers and a line in the log. Its option
 * `rewriteUrl` could do this, and would cost every request.
 */
function toPath(request: IncomingMessage): void {
  const { url = '' } = request;
  if (!url.startsWith('/') && !/^https?:\/\//i.test(url)) request.url = `/${url}`;
}

/** All that stands between a socket and a handler: the same for the program and its tests. */
export async function configureApp(app: NestFastifyApplication, log: Logger): Promise<void> {
  const config = app.get(Config);
  const fastify = app.getHttpAdapter().getInstance();
  // Node drops what comes after the 2,000th, which may be a proxy's X-Forwarded-For; 16 KiB are the limit.
  fastify.server.maxHeadersCount = 0;
  fastify.server.prependListener('request', toPath);
  // What a guard sets later is there from the start: every request keeps the shape it was made in.
  fastify.decorateRequest('user', undefined);
  useBodyParsers(fastify);
  useSecurityHeaders(fastify, config.issuer);
  useHostCheck(fastify);
  useRequestLog(fastify, log, app.get(Clock));
  if (config.metrics) {
    useRequestMetrics(fastify);
    collectProcessMetrics();
  }
  fastify.addHook('onRequest', checkMediaType);
  if (config.corsOrigins.length > 0) {
    useCors(app, config.corsOrigins);
    usePreflightHeaders(fastify, config.issuer);
  }
  useValidation(app);
  app.useGlobalFilters(errors);
  if (config.docs) serveDocs(fastify, () => createDocument(app));
  await app.init();
}

/** With credentials: a front end on a sibling domain has the cookies of its user. */
function useCors(app: NestFastifyApplication, origins: readonly string[]): void {
  const options = {
    origin: [...origins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], // three of them by default
    maxAge: 600,
  };
  // An OPTIONS that is no preflight is unknown here; the plugin would answer it in words of its own.
  const withoutPreflight = { ...options, preflight: false };
  app.enableCors({
    delegator: ({ headers }, done) => {
      const isPreflight = headers.origin && headers['access-control-request-method'];
      done(null, isPreflight ? options : withoutPreflight);
    },
  });
}

/** A request that is no HTTP, or whose headers are too large, never becomes a request. */
function answerRawSocket(
  error: Error & { code?: string },
  socket: Socket,
  securityHeaders: Readonly<Record<string, string>>,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  // The fault is in the body of a request that was answered: a second answer would be taken for
  // the next request's. Node's own handler looks here too; there is no public way to ask.
  const { _httpMessage: answering } = socket as { _httpMessage?: ServerResponse };
  if (answering?.headersSent === true) return void socket.end();
  const { status, body } = toWire(
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new LatchkeyError('headers_too_large', 'request_too_large', 'The headers are too large')
      : malformed('The request is malformed'),
  );
  const text = JSON.stringify(body);
  const headers = {
    ...securityHeaders,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${text}`);
}
