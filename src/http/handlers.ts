import type { Type } from '@nestjs/common';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';

export type Handler = (...args: never[]) => unknown;

interface Handled {
  controller: Type;
  prototype: Record<string, Handler>;
  name: string;
  handler: Handler;
}

const scanner = new MetadataScanner();

/** Every method of every controller, inherited ones included; not each of them is a route. */
export function* handlersOf(discovery: DiscoveryService): Generator<Handled> {
  for (const { metatype } of discovery.getControllers()) {
    const controller = metatype as Type;
    const prototype = controller.prototype as Record<string, Handler>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      yield { controller, prototype, name, handler: prototype[name]! };
    }
  }
}
