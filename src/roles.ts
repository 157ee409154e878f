/**
 * A role is a named set of scopes. Add a scope here, give it to a role, and ask for it
 * at a handler; a token never carries a scope that its user's roles do not hold.
 */
export const ROLES = {
  user: ['profile'],
  admin: ['profile', 'admin'],
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

/** @param name a role, or not */
function isRole(name: string): name is Role {
  return Object.hasOwn(ROLES, name);
}
