import { applyDecorators } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiConsumes } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LatchkeyError } from '../errors.js';

export const JSON_TYPE = 'application/json';
export const FORM_TYPE = 'application/x-www-form-urlencoded';
export const MULTIPART_TYPE = 'multipart/form-data';

const unsupported = (description: string): LatchkeyError =>
  new LatchkeyError('unsupported_media_type', 'media_type_unsupported', description);

/** Name of the route option that lists what a handler reads; JSON where there is none. */
const CONSUMES = 'consumes';

/** What a handler reads instead of JSON: checked before it, and so documented. */
export const Consumes = (...types: string[]): MethodDecorator =>
  applyDecorators(RouteConfig({ [CONSUMES]: types }), ApiConsumes(...types));

/** Forms, and JSON for whoever prefers it: what OAuth and `curl` send. */
export const ConsumesForms = (): MethodDecorator => Consumes(FORM_TYPE, MULTIPART_TYPE, JSON_TYPE);

/**
 * Refuses a body before it is read, unless it is of a type that its handler reads, in UTF-8, and
 * not compressed (a small body that becomes a large one).
 */
export function checkMediaType(
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  const { headers } = request;
  const contentType = headers['content-type'];
  const encoding = headers['content-encoding'];
  if (!hasBody(headers)) return done();
  // The body stays unread, and nothing more is to be read on this connection.
  const refuse = (description: string): void => {
    reply.header('connection', 'close');
    done(unsupported(description));
  };
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return refuse('Compressed bodies are not supported');
  }
  const config = request.routeOptions.config as { [CONSUMES]?: readonly string[] };
  const consumes = config[CONSUMES] ?? [JSON_TYPE];
  const { type, charset } = parse(contentType ?? '');
  if (!consumes.includes(type)) {
    return refuse(`The body must be ${consumes.join(' or ')}`);
  }
  if (charset !== undefined && charset !== 'utf-8') {
    return refuse('The body must be UTF-8');
  }
  done();
}

function hasBody(headers: FastifyRequest['headers']): boolean {
  const length = headers['content-length'];
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
}

function parse(contentType: string): { type: string; charset: string | undefined } {
  const [type = '', ...parameters] = contentType.split(';').map((part) => part.trim());
  const charset = parameters
    .map((parameter) => /^charset="?([^"]*)"?$/i.exec(parameter)?.[1])
    .find((value) => value !== undefined);
  return { type: type.toLowerCase(), charset: charset?.toLowerCase().replace(/^utf8$/, 'utf-8') };
}
