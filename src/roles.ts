/**
 * A role is a named set of scopes. Add a scope here, give it to a role, and ask for it
 * at a handler; a token never carries a scope that its user's roles do not hold.
 */
export const ROLES = {
  user: ['profile'],
  admin: ['profile', 'admin'],
  /** A service that asks what the tokens are worth which it is sent. */
  service: ['tokens:introspect'],
} as const satisfies Record<string, readonly string[]>;

export type Role = keyof typeof ROLES;
export type Scope = (typeof ROLES)[Role][number];

/** The one scope of a token that may do nothing but change a password made by somebody else. */
export const PASSWORD_CHANGE = 'password_change';

/** What a newly registered user is. */
export const DEFAULT_ROLE: Role = 'user';

/** Every scope that exists, in the order of the table above. */
export const ALL_SCOPES: readonly Scope[] = [...new Set(Object.values(ROLES).flat())];

/** The scopes that these roles hold together. A role that no longer exists holds none. */
export function scopesOf(roles: readonly string[]): Scope[] {
  return ALL_SCOPES.filter((scope) =>
    roles.some((role) => isRole(role) && (ROLES[role] as readonly Scope[]).includes(scope)),
  );
}

/** Of the scopes that were granted once, those that these roles still hold. */
export function stillHeld(granted: readonly string[], roles: readonly string[]): string[] {
  const held: readonly string[] = scopesOf(roles);
  return granted.filter((scope) => held.includes(scope));
}

/** Scopes as tokens and rows have them, in one text (RFC 6749 section 3.3). */
export const scopesIn = (text: string): string[] => text.split(' ').filter((scope) => scope !== '');

/** @param name a role, or not */
export function isRole(name: unknown): name is Role {
  return typeof name === 'string' && Object.hasOwn(ROLES, name);
}
