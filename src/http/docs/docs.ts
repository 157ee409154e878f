import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { hasTag } from '../entity-tag.js';

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
  ['/docs', here, 'index.html', 'text/html; charset=utf-8'],
  ['/docs/docs.css', here, 'docs.css', 'text/css; charset=utf-8'],
  ['/docs/docs.mjs', here, 'docs.mjs', 'text/javascript; charset=utf-8'],
  ['/docs/session.mjs', here, 'session.mjs', 'text/javascript; charset=utf-8'],
  ['/docs/swagger-ui.css', swaggerUi, 'swagger-ui.css', 'text/css; charset=utf-8'],
  ['/docs/swagger-ui.js', swaggerUi, 'swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['/docs/favicon.png', swaggerUi, 'favicon-32x32.png', 'image/png'],
] as const;

/**
 * Serves Swagger UI, the files above and no more, and the document it shows. Nothing is read or made
 * before somebody asks for it: a sixth of a start.
 */
export function serveDocs(fastify: FastifyInstance, document: () => OpenAPIObject): void {
  serve(fastify, '/docs-json', 'application/json; charset=utf-8', () =>
    Buffer.from(JSON.stringify(document())),
  );
  fastify.get('/', (_request, reply) => reply.redirect('docs', 302));
  for (const [url, directory, file, type] of FILES) {
    serve(fastify, url, type, () => readFileSync(join(directory, file)));
  }
}

/** Browsers ask each time, and get the 1.5 MB again only when they have changed. */
function serve(fastify: FastifyInstance, url: string, type: string, read: () => Buffer): void {
  let made: { content: Buffer; headers: Record<string, string> } | undefined;
  fastify.get(url, (request, reply) => {
    const { content, headers } = (made ??= withHeaders(read(), type));
    const known = hasTag(request.headers['if-none-match'], headers.etag);
    return reply
      .headers(headers)
      .code(known ? 304 : 200)
      .send(known ? undefined : content);
  });
}

function withHeaders(content: Buffer, type: string) {
  const headers = {
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'cache-control': 'no-cache',
    'content-type': type,
    etag: `"${createHash('sha256').update(content).digest('base64url')}"`,
  };
  return { content, headers };
}
