import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { Schema } from '../database/schema.js';

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
export const later = (eb: Sessions, column: Time, value: number) =>
  eb.case().when(column, '<', value).then(eb.val(value)).else(eb.ref(column)).end();

export const sooner = (eb: Sessions, column: Time, value: number) =>
  eb.case().when(column, '<', value).then(eb.ref(column)).else(eb.val(value)).end();
