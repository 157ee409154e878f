import type { INestApplication } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { ApiExtension, DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { ALL_SCOPES, type Role, ROLES, type Scope, scopesOf } from '../roles.js';
import { handlersOf } from './handlers.js';
import { type Access, accessTo, requiredScopes } from './route-access.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'] as const;
const ERROR = { $ref: '#/components/schemas/Error' };
/** Carries what a handler asks for to each of its operations; not in the finished document. */
const ACCESS = 'x-access';

/**
 * The OpenAPI document. Padlocks and 401 answers are not written by hand: they come from the
 * guards that protect each handler.
 */
export function createDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Latchkey')
    .setDescription('Log in once, carry a short-lived token, call guarded endpoints.')
    .setVersion('1')
    .addOAuth2(
      {
        type: 'oauth2',
        description:
          'Your username and password; client fields stay empty. Tick no scope to get all that ' +
          'you have; a scope that you do not have is refused.',
        flows: {
          password: {
            tokenUrl: 'token', // relative, so that it is right behind any proxy
            scopes: Object.fromEntries(ALL_SCOPES.map((scope) => [scope, holders(scope)])),
          },
        },
      },
      'password',
    )
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', description: 'An access token that you already have.' },
      'bearer',
    )
    .build();
  markAccess(app);
  const document = SwaggerModule.createDocument(app, config, { operationIdFactory: operationId });
  (document.components!.schemas ??= {})['Error'] = ERROR_SCHEMA;
  for (const path of Object.values(document.paths)) {
    for (const method of METHODS) {
      if (path[method]) complete(path[method]);
    }
  }
  return document;
}

function operationId(controller: string, method: string): string {
  return `${controller.replace(/Controller$/, '')}.${method}`;
}

function holders(scope: Scope): string {
  const roles = (Object.keys(ROLES) as Role[]).filter((role) => scopesOf([role]).includes(scope));
  return `Held by ${roles.join(', ')}.`;
}

/**
 * On the handler itself, not in a table by operation id: one handler can have several paths, and
 * a decorator can rename an operation.
 */
function markAccess(app: INestApplication): void {
  for (const { controller, prototype, name, handler } of handlersOf(app.get(DiscoveryService))) {
    const demand: Demand = {
      access: accessTo(controller, handler),
      scopes: requiredScopes(controller, handler),
    };
    ApiExtension(ACCESS, demand)(prototype, name, { value: handler });
  }
}

interface Demand {
  access: Access;
  scopes: readonly string[];
}

function complete(operation: Operation & { [ACCESS]?: Demand }): void {
  const { access, scopes = [] } = operation[ACCESS] ?? {};
  delete operation[ACCESS];
  // Nest has every header required; the handler runs without, and people need not fill it in.
  for (const parameter of operation.parameters ?? []) {
    if ('in' in parameter && parameter.in === 'header') parameter.required = false;
  }
  operation.responses['default'] ??= { description: 'Error', content: json(ERROR) };
  if (access !== 'bearer') return;
  operation.security = [{ password: [...scopes] }, { bearer: [] }];
  operation.responses['401'] ??= {
    description: 'The access token is missing, not valid, expired or revoked',
    content: json(ERROR),
  };
  if (scopes.length === 0) return;
  operation.responses['403'] ??= {
    description: `The access token lacks the scope ${scopes.join(' ')}`,
    content: json(ERROR),
  };
}

function json(schema: object) {
  return { 'application/json': { schema } };
}

const ERROR_SCHEMA = {
  type: 'object',
  required: ['error', 'error_description', 'code'],
  example: {
    error: 'invalid_token',
    error_description: 'The access token expired',
    code: 'token_expired',
  },
  properties: {
    error: { type: 'string', description: 'The word of the RFC' },
    error_description: { type: 'string', description: 'For people' },
    code: { type: 'string', description: 'Stable, for programs' },
    fields: {
      type: 'object',
      description: 'What is wrong with each field',
      additionalProperties: { type: 'array', items: { type: 'string' } },
    },
    request_id: { type: 'string', description: 'With a 500: what to look for in the log' },
  },
};
