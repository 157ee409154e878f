import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  Logger,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  causeOf,
  type ErrorWord,
  LatchkeyError,
  malformed,
  notFound,
  tooManyRequests,
} from '../errors.js';
import { errors } from '../metrics/metrics.js';

/** Milliseconds. */
const TELL_EVERY = 10_000;
const REALM = 'realm="latchkey"';

/** Every error body there is, on every route. */
export interface ErrorBody {
  error: ErrorWord;
  error_description: string;
  code: string;
  fields?: Record<string, string[]>;
  request_id?: string;
}

interface WireError {
  status: number;
  headers: Record<string, string>;
  body: ErrorBody;
}

/** The only place that writes an error: what Nest and Fastify throw comes through here too. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #logger = new Logger('Errors');
  #quietUntil = -Infinity;

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.write(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  write(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const known = isCutOff(request) ? cutOff(error) : toLatchkeyError(error);
    errors.inc({ code: known.code });
    if (known.error === 'server_error') this.#log(error, request);
    if (known.code === 'database_unavailable') this.#tellOutage(known);
    if (reply.sent) return;
    const { status, headers, body } = toWire(known);
    if (known.error === 'server_error') body.request_id = request.id;
    void reply.code(status).headers(headers).type('application/json; charset=utf-8').send(body);
  }

  /** Why requests fail, once for many of them. */
  #tellOutage(error: LatchkeyError): void {
    if (performance.now() < this.#quietUntil) return;
    this.#quietUntil = performance.now() + TELL_EVERY;
    this.#logger.warn(`The database cannot be used: ${causeOf(error)}`);
  }

  /** Where it happened, never what was being handled. */
  #log(error: unknown, request: FastifyRequest): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#logger.error(`Request ${request.id} failed`, stack ?? typeof error);
  }
}

/** An error as status, headers and body (RFC 6749 section 5.2, RFC 6750 section 3). */
export function toWire({ error, code, description, details }: LatchkeyError): WireError {
  const status = details.status ?? statusOf(error, code);
  const { retryAfter, fields } = details;
  const challenge = challengeOf(error, description, status, details);
  return {
    status,
    headers: {
      // A handler may have said how long its answer is good for: an error is not that answer.
      'cache-control': 'no-store',
      ...(challenge !== undefined && { 'www-authenticate': challenge }),
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    },
    body: { error, error_description: description, code, ...(fields && { fields }) },
  };
}

const STATUS: Record<ErrorWord, number> = {
  invalid_request: 400,
  // 401 for a wrong password, 400 for a dead refresh token: see statusOf()
  invalid_grant: 400,
  invalid_scope: 400,
  invalid_target: 400,
  unsupported_grant_type: 400,
  invalid_client: 401,
  unauthorized: 401,
  invalid_token: 401,
  insufficient_user_authentication: 401,
  insufficient_scope: 403,
  access_denied: 403,
  not_found: 404,
  conflict: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  too_many_requests: 429,
  headers_too_large: 431,
  server_error: 500,
  temporarily_unavailable: 503,
};

function statusOf(error: ErrorWord, code: string): number {
  return code === 'login_failed' ? 401 : STATUS[error];
}

const TOKEN_ERRORS: ReadonlySet<ErrorWord> = new Set([
  'invalid_token',
  'insufficient_scope',
  'insufficient_user_authentication',
]);

function challengeOf(
  error: ErrorWord,
  description: string,
  status: number,
  { scope, maxAge }: LatchkeyError['details'],
): string | undefined {
  if (error === 'invalid_client') return `Basic ${REALM}`;
  if (TOKEN_ERRORS.has(error)) {
    const missing = scope === undefined ? '' : `, scope="${scope}"`;
    const age = maxAge === undefined ? '' : `, max_age="${maxAge}"`; // RFC 9470 section 3
    return `Bearer ${REALM}, error="${error}", error_description="${description}"${missing}${age}`;
  }
  // RFC 6750 section 3.1: no error code where no credentials were presented.
  return status === 401 ? `Bearer ${REALM}` : undefined;
}

/** Whether the client went away, or was closed for its slowness, before its body was there. */
const isCutOff = ({ raw }: FastifyRequest): boolean => raw.destroyed && !raw.complete;

/** Node tells it as an error like any other; no fault of the server is to be logged for it. */
const cutOff = (error: unknown): LatchkeyError =>
  error instanceof LatchkeyError ? error : malformed('The request is not complete');

/**
 * What others throw loses its words, which may quote the request. What a handler throws keeps its
 * status; of what Fastify refuses, the closed list has all that is told apart.
 */
function toLatchkeyError(error: unknown): LatchkeyError {
  if (error instanceof LatchkeyError) return error;
  if (error instanceof HttpException) return ofApplication(error.getStatus());
  const status = fastifyStatus(error);
  return (
    FOREIGN[status]?.() ?? (status < 500 ? malformed('The request is malformed') : failed(500))
  );
}

function ofApplication(status: number): LatchkeyError {
  return FOREIGN[status]?.() ?? (status >= 400 && status < 500 ? refused(status) : failed(status));
}

function fastifyStatus(error: unknown): number {
  const { name, statusCode } = (error ?? {}) as { name?: unknown; statusCode?: unknown };
  return name === 'FastifyError' && typeof statusCode === 'number' ? statusCode : 500;
}

/** What an application refuses by a status for which the closed list has no code. */
const refused = (status: number) =>
  new LatchkeyError('invalid_request', 'request_malformed', 'The request is refused', { status });

const failed = (status: number) =>
  new LatchkeyError('server_error', 'internal', 'The server failed to answer this request', {
    status: status >= 500 && status < 600 ? status : 500,
  });

const FOREIGN: Record<number, () => LatchkeyError> = {
  400: () => malformed('The request is malformed'),
  401: () => new LatchkeyError('unauthorized', 'token_missing', 'An access token is required'),
  403: () => new LatchkeyError('access_denied', 'access_denied', 'This is not allowed'),
  404: notFound,
  409: () => new LatchkeyError('conflict', 'conflict', 'This is in conflict with what is there'),
  413: () => new LatchkeyError('payload_too_large', 'request_too_large', 'The body is too large'),
  415: () =>
    new LatchkeyError(
      'unsupported_media_type',
      'media_type_unsupported',
      'The type of the body is not supported',
    ),
  429: () => tooManyRequests(1),
  503: () =>
    new LatchkeyError('temporarily_unavailable', 'busy', 'The service cannot answer this now', {
      retryAfter: 1,
    }),
};
