import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Principal, SessionPrincipal } from '../tokens/principal.js';

export type { Principal, SessionPrincipal };

/** The caller of a handler under `JwtAuthGuard`, as a `Principal`. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const { user } = context.getArgByIndex<FastifyRequest & { user?: Principal }>(0);
  if (user === undefined) throw new Error('@CurrentUser() needs @UseGuards(JwtAuthGuard)');
  return user;
});
