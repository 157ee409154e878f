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
  api_tokens: ApiTokensTable;
  audit: AuditTable;
  audit_seals: AuditSealsTable;
  audit_checkpoints: AuditCheckpointsTable;
  attempts: AttemptsTable;
  known_addresses: KnownAddressesTable;
}

export interface UsersTable {
  id: string;
  /** As its owner wrote it. */
  username: string;
  /** What is unique and compared: `canonicalUsername()`. */
  canonical_username: string;
  /** A PHC string (argon2id), or a bcrypt or PBKDF2 hash brought from elsewhere. */
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
  /** What a refresh token names; null where there is none to refresh with. */
  refresh_id: string | null;
  /** How often the refresh token was rotated: the one of this counter is the valid one. */
  counter: number;
  /** The last rotation, or the login. */
  rotated_at: number;
  /** Until when it can be refreshed, and each refresh puts it off; `expires_at` at most. */
  idle_expires_at: number;
  expires_at: number;
  /** Until when an access token of this session can be alive. */
  access_expires_at: number;
  ended_at: number | null;
  /** Of the last login or refresh. */
  address: string | null;
  user_agent: string | null;
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
  /** Seconds: the longest that any token lives which it signed. */
  longest_ttl: Generated<number>;
}

export interface RevocationsTable {
  id: Generated<number>;
  kind: 'jti' | 'api' | 'sid' | 'sub';
  /** A `jti`, the id of an API token, a `sid` or a `sub`. */
  subject: string;
  /** With a `sub`: tokens of a lower generation are revoked. */
  gen: number | null;
  expires_at: number;
  /** With a `jti`: the session of the token. */
  sid: string | null;
}

export interface ApiTokensTable {
  /** The public part of the token. */
  id: string;
  user_id: string;
  name: string;
  /** SHA-256, base64url. */
  secret_hash: string;
  /** Space-separated: what it was made for. */
  scopes: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  ended_at: number | null;
}

/** Append-only: triggers refuse every change, but for what a checkpoint says is gone. */
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

/** Append-only, with ids 1, 2, 3, ...: see `audit-seals/seal.ts`. */
export interface AuditSealsTable {
  id: number;
  /** The greatest audit id that it covers, from that of the seal before it on. */
  last_row: number;
  /** How many rows were ever sealed, this seal's included. */
  total: number;
  at: number;
  /** `ID:DIGEST` of each row, space-separated: it tells which row was changed. */
  digests: string;
  /** SHA-256 over the chain of the seal before it, and over what this one covers. */
  chain: string;
  /** Which key encryption secret the MAC is under. */
  secret_id: string;
  mac: string;
}

/** Append-only. The rows and seals up to the last one are gone, by the will of the operator. */
export interface AuditCheckpointsTable {
  id: number;
  /** The last seal that is gone, with what the next one builds on. */
  seal_id: number;
  last_row: number;
  total: number;
  chain: string;
  seal_mac: string;
  at: number;
  /** `cli`, or `retention`. */
  actor: string;
  secret_id: string;
  mac: string;
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
