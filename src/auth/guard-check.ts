import { Injectable, type OnModuleInit, type Type } from '@nestjs/common';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { accessTo } from '../http/route-access.js';

/** Stops the start when a handler has neither a guard that authenticates nor `@Public()`. */
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
      .filter((name) => accessTo(controller, prototype[name]!) === 'forgotten')
      .map((name) => `${controller.name}.${name}`);
  }
}
