import { Injectable, type OnModuleInit, type Type } from '@nestjs/common';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { accessTo } from '../http/route-access.js';
import { asksForToken, readDemand } from './demand.js';

/**
 * Stops the start when a handler has neither a guard that authenticates nor `@Public()`, or asks
 * for scopes, a session or a recent login without the guard that looks at them.
 */
@Injectable()
export class GuardCheck implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    const forgotten = this.discovery
      .getControllers()
      .flatMap(({ metatype }) => this.#forgottenHandlers(metatype as Type));
    if (forgotten.length === 0) return;
    throw new Error(
      `These handlers are not protected: ${forgotten.join(', ')}. ` +
        'Give each @UseGuards(JwtAuthGuard), or @Public() if anyone may call it.',
    );
  }

  #forgottenHandlers(controller: Type): string[] {
    const prototype = controller.prototype as Record<string, (...args: never[]) => unknown>;
    return this.scanner
      .getAllMethodNames(prototype)
      .filter((name) => Reflect.hasMetadata(METHOD_METADATA, prototype[name]!))
      .filter((name) => !isProtected(controller, prototype[name]!))
      .map((name) => `${controller.name}.${name}`);
  }
}

/** `@RequireScopes()` and its like are read by the guard: without it, they would protect nothing. */
function isProtected(controller: Type, handler: (...args: never[]) => unknown): boolean {
  const access = accessTo(controller, handler);
  return asksForToken(readDemand(controller, handler))
    ? access === 'bearer'
    : access !== 'forgotten';
}
