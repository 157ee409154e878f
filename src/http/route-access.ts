import type { Type } from '@nestjs/common';
import { GUARDS_METADATA } from '@nestjs/common/constants.js';

/** Metadata of a guard class that proves who is calling. */
export const AUTHENTICATES = 'latchkey:authenticates';
/** Metadata of a handler or a controller that anyone may call. */
export const PUBLIC = 'latchkey:public';

/** Metadata of a handler or a controller: the scopes that a token must carry. */
export const REQUIRED_SCOPES = 'latchkey:required-scopes';

/** What a guard asks for: an access token, or a username and a password. */
export type Credential = 'bearer' | 'login';

/** How a handler is protected: by what its guards ask for, by choice not at all, or forgotten. */
export type Access = Credential | 'public' | 'forgotten';

/**
 * Reads it from the guards that Nest will run, on the handler and on its controller: what is
 * documented and what is checked at start cannot differ from what happens.
 */
export function accessTo(controller: Type, handler: (...args: never[]) => unknown): Access {
  const guards = [handler, controller].flatMap(
    (target) => (Reflect.getMetadata(GUARDS_METADATA, target) ?? []) as (Type | object)[],
  );
  for (const guard of guards) {
    const type = typeof guard === 'function' ? guard : guard.constructor;
    const credential = Reflect.getMetadata(AUTHENTICATES, type) as Credential | undefined;
    if (credential !== undefined) return credential;
  }
  const isPublic = [handler, controller].some((target) => Reflect.getMetadata(PUBLIC, target));
  return isPublic ? 'public' : 'forgotten';
}

/** The scopes that a handler asks for: its own, or else its controller's. */
export function requiredScopes(
  controller: Type,
  handler: (...args: never[]) => unknown,
): readonly string[] {
  return metadataOf<string[]>(REQUIRED_SCOPES, controller, handler) ?? [];
}

/** What a decorator says of a handler, or else of its controller. */
export function metadataOf<T>(
  key: string,
  controller: Type,
  handler: (...args: never[]) => unknown,
): T | undefined {
  return [handler, controller]
    .map((target) => Reflect.getMetadata(key, target) as T | undefined)
    .find((found) => found !== undefined);
}
