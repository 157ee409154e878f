import type { INestApplication, Type } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { ALL_SCOPES } from '../roles.js';
import { type Access, accessTo } from './route-access.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'] as const;
const ERROR = { $ref: '#/components/schemas/Error' };

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
        description: 'Your username and password; leave the client fields empty.',
        flows: {
          password: {
            tokenUrl: 'token', // relative, so that it is right behind any proxy
            scopes: Object.fromEntries(ALL_SCOPES.map((scope) => [scope, ''])),
          },
        },
      },
      'password',
    )
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An access token.' }, 'bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config, { operationIdFactory: operationId });
  (document.components!.schemas ??= {})['Error'] = ERROR_SCHEMA;
  const access = accessByOperation(app);
  for (const path of Object.values(document.paths)) {
    for (const method of METHODS) {
      const operation = path[method];
      if (operation) protect(operation, access.get(operation.operationId ?? '') ?? 'public');
    }
  }
  return document;
}

function operationId(controller: string, method: string): string {
  return `${controller.replace(/Controller$/, '')}.${method}`;
}

function accessByOperation(app: INestApplication): Map<string, Access> {
  const scanner = new MetadataScanner();
  const access = new Map<string, Access>();
  for (const { metatype } of app.get(DiscoveryService).getControllers()) {
    const controller = metatype as Type;
    const prototype = controller.prototype as Record<string, (...args: never[]) => unknown>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      access.set(operationId(controller.name, name), accessTo(controller, prototype[name]!));
    }
  }
  return access;
}

function protect(operation: Operation, access: Access): void {
  operation.responses['default'] ??= { description: 'Error', content: json(ERROR) };
  if (access !== 'bearer') return;
  operation.security = [{ password: [] }, { bearer: [] }];
  operation.responses['401'] ??= {
    description: 'The access token is missing, not valid, expired or revoked',
    content: json(ERROR),
  };
}

function json(schema: object) {
  return { 'application/json': { schema } };
}

const ERROR_SCHEMA = {
  type: 'object',
  required: ['error', 'error_description', 'code'],
  properties: {
    error: { type: 'string', description: 'The word of the RFC', example: 'invalid_token' },
    error_description: { type: 'string', example: 'The access token expired' },
    code: { type: 'string', description: 'Stable, for programs', example: 'token_expired' },
    fields: {
      type: 'object',
      description: 'What is wrong with each field',
      additionalProperties: { type: 'array', items: { type: 'string' } },
    },
    request_id: { type: 'string', description: 'With a 500: what to look for in the log' },
  },
};
