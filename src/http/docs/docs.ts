import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyInstance, FastifyReply } from 'fastify';

const here = import.meta.dirname;
const swaggerUi = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

/** Everything from this server, nothing inline; `data:` images are Swagger UI's icons. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const FILES = [
  ['/docs', here, 'index.html', 'text/html'],
  ['/docs/docs.css', here, 'docs.css', 'text/css'],
  ['/docs/docs.mjs', here, 'docs.mjs', 'text/javascript'],
  ['/docs/swagger-ui.css', swaggerUi, 'swagger-ui.css', 'text/css'],
  ['/docs/swagger-ui.js', swaggerUi, 'swagger-ui-bundle.js', 'text/javascript'],
  ['/docs/favicon.png', swaggerUi, 'favicon-32x32.png', 'image/png'],
] as const;

/** Serves Swagger UI, five files of its own and no more, and the document it shows. */
export function serveDocs(fastify: FastifyInstance, document: OpenAPIObject): void {
  const json = JSON.stringify(document);
  fastify.get('/docs-json', (_request, reply) => send(reply, 'application/json', json));
  fastify.get('/', (_request, reply) => reply.redirect('/docs', 302));
  for (const [url, directory, file, type] of FILES) {
    fastify.get(url, (_request, reply) => send(reply, type, readFileSync(join(directory, file))));
  }
}

function send(reply: FastifyReply, type: string, content: string | Buffer): FastifyReply {
  return reply
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('cache-control', 'no-cache')
    .type(type.startsWith('image/') ? type : `${type}; charset=utf-8`)
    .send(content);
}
