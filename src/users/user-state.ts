import type { Transaction } from 'kysely';
import { type Executor, isPostgres } from '../database/database.js';
import { prepared } from '../database/prepared.js';
import type { Schema } from '../database/schema.js';

/** A user as a transaction sees one. */
export interface UserState {
  id: string;
  username: string;
  roles: readonly string[];
  gen: number;
  passwordVersion: number;
  disabled: boolean;
  /** The password was made for the user, who has not chosen one yet. */
  mustChangePassword: boolean;
}

/**
 * Locks the user's row until the transaction ends, always before any row of theirs: `share` for
 * what opens a session, `update` for what ends one, so that of the two one waits for the other. On
 * SQLite the transaction has the write lock already.
 */
export const lockUser = (
  trx: Transaction<Schema>,
  userId: string,
  strength: 'share' | 'update',
): Promise<UserState | undefined> => find(trx, userId, strength);

/** The user as of now, for who has locked a session of theirs, which comes after the user. */
export const readUser = (
  trx: Transaction<Schema>,
  userId: string,
): Promise<UserState | undefined> => find(trx, userId);

const select = (executor: Executor, { id }: { id: string }) =>
  executor
    .selectFrom('users')
    .select([
      'id',
      'username',
      'roles',
      'gen',
      'password_version',
      'disabled_at',
      'password_expires_at',
    ])
    .where('id', '=', id);

const SELECT = {
  plain: prepared(select),
  share: prepared((...query: Parameters<typeof select>) => select(...query).forShare()),
  update: prepared((...query: Parameters<typeof select>) => select(...query).forUpdate()),
};

async function find(
  trx: Transaction<Schema>,
  userId: string,
  strength?: 'share' | 'update',
): Promise<UserState | undefined> {
  const [row] = await SELECT[(isPostgres(trx) && strength) || 'plain'](trx, { id: userId });
  return (
    row && {
      id: row.id,
      username: row.username,
      roles: row.roles.split(' '),
      gen: row.gen,
      passwordVersion: row.password_version,
      disabled: row.disabled_at !== null,
      mustChangePassword: row.password_expires_at !== null,
    }
  );
}
