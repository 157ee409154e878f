import { storableHash } from '../passwords/brought-hash.js';
import { readTime } from '../rfc-3339.js';
import { DEFAULT_ROLE, isRole, type Role, ROLES } from '../roles.js';
import { parseStrictJson } from '../strict-json.js';
import { canonicalUsername, USERNAME_RULE } from './username.js';

/** A user as a line tells of one. Times are epoch milliseconds. */
export interface BroughtUser {
  /** Undefined where a new one is to be made. */
  id: string | undefined;
  username: string;
  canonicalUsername: string;
  passwordHash: string;
  roles: readonly Role[];
  disabled: boolean;
  createdAt: number | undefined;
  passwordExpiresAt: number | null;
}

/** Why a line is refused: names the rule, and quotes nothing of a value. */
export class BadLine extends Error {}

const MEMBERS = new Set([
  'id',
  'username',
  'password_hash',
  'roles',
  'disabled',
  'created_at',
  'password_expires_at',
]);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Reads a line of a file of users: one JSON object in UTF-8.
 * @throws BadLine
 */
export function readUserLine(bytes: Uint8Array): BroughtUser {
  const line = parse(bytes);
  // What is not known is not ignored: it may be a misspelt "disabled".
  const unknown = Object.keys(line).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) {
    throw new BadLine(`it has the member "${unknown.slice(0, 40)}", which is unknown here`);
  }
  const { username, password_hash: passwordHash, disabled = false } = line;
  if (typeof username !== 'string') throw new BadLine('username must be there, as a string');
  const canonical = canonicalUsername(username);
  if (canonical === undefined) throw new BadLine(USERNAME_RULE);
  if (typeof disabled !== 'boolean') throw new BadLine('disabled must be true or false');
  return {
    id: readId(line['id']),
    username,
    canonicalUsername: canonical,
    passwordHash: readHash(passwordHash),
    roles: readRoles(line['roles']),
    disabled,
    createdAt: timeOf(line, 'created_at'),
    passwordExpiresAt: timeOf(line, 'password_expires_at') ?? null,
  };
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(bytes);
  } catch {
    throw new BadLine('it is not JSON in UTF-8, or has a member twice');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadLine('it is not a JSON object');
  }
  return value as Record<string, unknown>;
}

function readHash(value: unknown): string {
  const hash = typeof value === 'string' ? storableHash(value) : undefined;
  if (hash !== undefined) return hash;
  throw new BadLine(
    'password_hash must be argon2id, bcrypt, or PBKDF2 with SHA-256 or SHA-512, at a cost that is obeyed here',
  );
}

function readId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' && UUID.test(value)) return value.toLowerCase();
  throw new BadLine('id must be a UUID');
}

function readRoles(value: unknown): readonly Role[] {
  if (value === undefined || value === null) return [DEFAULT_ROLE];
  if (Array.isArray(value) && value.length > 0 && value.every(isRole)) return [...new Set(value)];
  throw new BadLine(`roles must be a list of ${Object.keys(ROLES).join(', ')}`);
}

/** @returns epoch milliseconds */
function timeOf(line: Record<string, unknown>, name: string): number | undefined {
  const value = line[name];
  if (value === undefined || value === null) return undefined;
  const time = typeof value === 'string' ? readTime(value) : undefined;
  if (time !== undefined) return time;
  throw new BadLine(`${name} must be a time with its zone, such as 2024-05-31T12:00:00Z`);
}
