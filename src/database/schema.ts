import type { Generated } from 'kysely';

/**
 * One schema for both databases. Times are epoch milliseconds in bigint; what can be undone or
 * has not happened is a null time, not a boolean; ids are text.
 */
export interface Schema {
  users: UsersTable;
  sessions: SessionsTable;
  signing_keys: SigningKeysTable;
  revocations: RevocationsTable;
  audit: AuditTable;
  attempts: AttemptsTable;
  known_addresses: KnownAddressesTable;
}

export interface UsersTable {
  id: string;
  /** As its owner wrote it. */
  username: string;
  /** What is unique and compared: `canonicalUsername()`. */
  canonical_username: string;
  /** A PHC string (argon2id), or a bcrypt hash brought from elsewhere. */
  password_hash: string;
  /** Raised when the password changes, not when the same one is hashed anew. */
  password_version: number;
  /** The user generation: raised with every change of rights, by disable and by delete. */
  gen: number;
  /** Space-separated. */
  roles: string;
  created_at: number;
  disabled_at: number | null;
  /** Set on a password that was made for the user: it must be changed before then. */
  password_expires_at: number | null;
}

export interface SessionsTable {
  /** The public `sid`. */
  id: string;
  user_id: string;
  /** Space-separated: what was granted at login. */
  scopes: string;
  auth_time: number;
  expires_at: number;
  /** Until when an access token of this session can be alive. */
  access_expires_at: number;
  ended_at: number | null;
}

export interface SigningKeysTable {
  /** RFC 7638 thumbprint. */
  kid: string;
  alg: string;
  /** A JWK as JSON text. */
  public_jwk: string;
  /** PKCS #8 under AES-256-GCM: see `keys/key-encryption.ts`. */
  private_key: string;
  /** Which key encryption secret it is under. */
  secret_id: string;
  created_at: number;
  /** When it starts to sign; null for the standby key. */
  activate_at: number | null;
  withdrawn_at: number | null;
}

export interface RevocationsTable {
  id: Generated<number>;
  kind: 'jti' | 'sid' | 'sub';
  /** A `jti`, a `sid` or a `sub`. */
  subject: string;
  /** With a `sub`: tokens of a lower generation are revoked. */
  gen: number | null;
  expires_at: number;
}

/** Append-only: triggers refuse every change. */
export interface AuditTable {
  id: Generated<number>;
  at: number;
  event: string;
  /** Whom it is about; kept when the user is gone. */
  user_id: string | null;
  /** Who did it: a user's id, `cli`, or `anyone` before a login. */
  actor: string;
  address: string | null;
  session_id: string | null;
  /** A JSON object. */
  detail: string | null;
}

/** How often something was tried in a window of time. */
export interface AttemptsTable {
  /** A keyed hash: no name and no address can be read from it. */
  key: string;
  count: number;
  ends_at: number;
}

/** From where a user has logged in before; both are keyed hashes. */
export interface KnownAddressesTable {
  account: string;
  address: string;
  seen_at: number;
}
