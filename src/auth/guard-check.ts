import { Injectable, type OnModuleInit, type Type } from '@nestjs/common';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { accessTo, requiredScopes } from '../http/route-access.js';

/**
 * Stops the start when a handler has neither a guard that authenticates nor `@Public()`, or asks
 * for scopes without the guard that looks at them.
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

/** `@RequireScopes()` is read by the guard: without it, it would protect nothing. */
function isProtected(controller: Type, handler: (...args: never[]) => unknown): boolean {
  const access = accessTo(controller, handler);
  return requiredScopes(controller, handler).length > 0
    ? access === 'bearer'
    : access !== 'forgotten';
}
