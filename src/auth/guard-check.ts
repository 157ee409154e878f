import { Injectable, type OnModuleInit, type Type } from '@nestjs/common';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService } from '@nestjs/core';
import { type Handler, handlersOf } from '../http/handlers.js';
import { accessTo } from '../http/route-access.js';
import { asksForToken, readDemand } from './demand.js';

/**
 * Stops the start when a handler has neither a guard that authenticates nor `@Public()`, or asks
 * for scopes, a session or a recent login without the guard that looks at them.
 */
@Injectable()
export class GuardCheck implements OnModuleInit {
  constructor(private readonly discovery: DiscoveryService) {}

  onModuleInit(): void {
    const forgotten = [...handlersOf(this.discovery)]
      .filter(({ handler }) => Reflect.hasMetadata(METHOD_METADATA, handler))
      .filter(({ controller, handler }) => !isProtected(controller, handler))
      .map(({ controller, name }) => `${controller.name}.${name}`);
    if (forgotten.length === 0) return;
    throw new Error(
      `These handlers are not protected: ${forgotten.join(', ')}. ` +
        'Give each @UseGuards(JwtAuthGuard), or @Public() if anyone may call it.',
    );
  }
}

/** `@RequireScopes()` and its like are read by the guard: without it, they would protect nothing. */
function isProtected(controller: Type, handler: Handler): boolean {
  const access = accessTo(controller, handler);
  return asksForToken(readDemand(controller, handler))
    ? access === 'bearer'
    : access !== 'forgotten';
}
