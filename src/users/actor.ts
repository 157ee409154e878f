import type { Transaction } from 'kysely';
import { isPostgres } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { insufficientScope, tokenRevoked } from '../errors.js';
import { type Scope, scopesOf } from '../roles.js';
import { lockUser } from './user-state.js';

/** Who asks and is nobody yet. */
export const ANYONE = 'anyone';

/** Who does something to an account, for the audit. */
export interface Actor {
  /** A user's id, `cli`, or `ANYONE`. */
  id: string;
  address?: string;
  /** Of a user whose right to do it is asked for again: see `requireActor()`. */
  sessionId?: string;
}

/** As an audit entry names it. */
export function by({ id, address }: Actor): { actor: string; address?: string } {
  return { actor: id, ...(address !== undefined && { address }) };
}

/**
 * Asks again, in the transaction, what the guard asked: a request may have waited for a lock or a
 * hash, and its user may have been disabled or the session ended meanwhile. The user's row is
 * locked before the session's, as everywhere.
 *
 * @throws token_revoked; insufficient_scope
 */
export async function requireActor(
  trx: Transaction<Schema>,
  { id, sessionId }: Actor,
  scope?: Scope,
): Promise<void> {
  if (sessionId === undefined) return;
  const user = await lockUser(trx, id, 'share');
  const session = await trx
    .selectFrom('sessions')
    .select('id')
    .where('id', '=', sessionId)
    .where('user_id', '=', id)
    .where('ended_at', 'is', null)
    .$if(isPostgres(trx), (query) => query.forShare())
    .executeTakeFirst();
  if (user === undefined || user.disabled || session === undefined) throw tokenRevoked();
  if (scope !== undefined && !scopesOf(user.roles).includes(scope)) {
    throw insufficientScope([scope]);
  }
}
