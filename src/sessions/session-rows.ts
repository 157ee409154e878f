import type { Expression, ExpressionBuilder, Insertable, SqlBool } from 'kysely';
import type { Executor } from '../database/database.js';
import { prepared } from '../database/prepared.js';
import type { Schema, SessionsTable } from '../database/schema.js';

type Sessions = ExpressionBuilder<Schema, 'sessions'>;
type Time = 'access_expires_at' | 'expires_at' | 'idle_expires_at';

/** What can still be used. @param now epoch milliseconds */
export const liveAt =
  (now: number) =>
  (eb: Sessions): Expression<SqlBool> =>
    eb.and([
      eb('ended_at', 'is', null),
      eb('idle_expires_at', '>', now),
      eb('expires_at', '>', now),
    ]);

// `least` and `greatest` have other names on SQLite. A bare number would become part of the text
// of the statement, which would then be prepared anew each time.
const later = (eb: Sessions, column: Time, value: number) =>
  eb.case().when(column, '<', value).then(eb.val(value)).else(eb.ref(column)).end();

export const sooner = (eb: Sessions, column: Time, value: number) =>
  eb.case().when(column, '<', value).then(eb.ref(column)).else(eb.val(value)).end();

const RETURNED = [
  'id',
  'user_id',
  'scopes',
  'auth_time',
  'refresh_id',
  'counter',
  'idle_expires_at',
  'expires_at',
] as const;

export type ReturnedSession = Pick<SessionsTable, (typeof RETURNED)[number]>;

export const insertSession = prepared((executor, row: Insertable<SessionsTable>) =>
  executor.insertInto('sessions').values({
    id: row.id,
    user_id: row.user_id,
    scopes: row.scopes,
    auth_time: row.auth_time,
    refresh_id: row.refresh_id,
    counter: row.counter,
    rotated_at: row.rotated_at,
    idle_expires_at: row.idle_expires_at,
    expires_at: row.expires_at,
    access_expires_at: row.access_expires_at,
    ended_at: row.ended_at,
    address: row.address,
    user_agent: row.user_agent,
  }),
);

/** From where a session was used last. */
export interface Seen {
  address: string;
  user_agent: string | null;
}

interface Use {
  refreshId: string;
  now: number;
  accessExpiresAt: number;
}

/** A refresh token that is used, in a session that can be. */
const used = (executor: Executor, { refreshId, now, accessExpiresAt }: Use) =>
  executor
    .updateTable('sessions')
    .set((eb) => ({ access_expires_at: later(eb, 'access_expires_at', accessExpiresAt) }))
    .where('refresh_id', '=', refreshId)
    .where(liveAt(now))
    .returning(RETURNED);

/** The valid one. */
export const advance = prepared(
  (executor, use: Use & Seen & { counter: number; next: number; idleExpiresAt: number }) =>
    used(executor, use)
      .set((eb) => ({
        counter: use.next,
        rotated_at: use.now,
        idle_expires_at: sooner(eb, 'expires_at', use.idleExpiresAt),
        address: use.address,
        user_agent: use.user_agent,
      }))
      .where('counter', '=', use.counter),
);

/** The one before it, within the reuse interval. */
export const repeat = prepared(
  (executor, use: Use & { next: number; rotatedFrom: number; rotatedUntil: number }) =>
    used(executor, use)
      .where('counter', '=', use.next)
      .where('rotated_at', '>=', use.rotatedFrom)
      .where('rotated_at', '<=', use.rotatedUntil),
);
