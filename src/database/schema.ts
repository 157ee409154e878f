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
