import { Inject, Injectable } from '@nestjs/common';
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { type Executor, isPostgres } from '../database/database.js';
import { prepared } from '../database/prepared.js';
import type { Schema, SessionsTable } from '../database/schema.js';
import { type Revocation, revocationExpiry } from '../revocation/revocation.js';
import { liveAt, sooner } from './session-rows.js';

/** What ended together. */
export interface Ended {
  /** The sessions that could still be refreshed. */
  sessions: readonly string[];
  /** What refuses the access tokens that are still alive. */
  revocations: readonly Revocation[];
}

type EndedRow = Pick<SessionsTable, 'id' | 'access_expires_at' | 'idle_expires_at' | 'ended_at'>;

/**
 * Ends sessions, in the caller's transaction, and says what has to be revoked with them. A row
 * lives as long as the access tokens of its session can, whatever their lifetime was at the time.
 */
@Injectable()
export class SessionEnding {
  constructor(
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  /**
   * Ends one session of a user.
   * @returns what refuses its access tokens; undefined where there is no such live session
   */
  async end(executor: Executor, userId: string, id: string): Promise<Revocation[] | undefined> {
    const rows = await this.#end(executor, userId, (eb) => eb('id', '=', id));
    return rows.length === 0 ? undefined : this.#revocations(rows);
  }

  /**
   * Ends every session of a user but one.
   * @param kept undefined ends all of them
   */
  async endOthers(executor: Executor, userId: string, kept?: string): Promise<Ended> {
    const rows = await this.#end(executor, userId, (eb) =>
      kept === undefined ? eb.lit(true) : eb('id', '!=', kept),
    );
    return this.#ended(rows);
  }

  /**
   * Ends the oldest sessions of a user who has more than `MAX_SESSIONS`.
   * @param opened the session that is one too many, and stays, whatever the clock says of its age
   */
  async endOldest(executor: Executor, userId: string, opened: string): Promise<Ended> {
    const { maxSessions } = this.config;
    const oldest = await selectOldest(executor, {
      userId,
      opened,
      now: this.clock.now(),
      kept: maxSessions - 1,
      // Without a limit SQLite has no offset.
      most: maxSessions,
    });
    if (oldest.length === 0) return { sessions: [], revocations: [] };
    const ids = oldest.map(({ id }) => id);
    return this.#ended(await this.#end(executor, userId, (eb) => eb('id', 'in', ids)));
  }

  /**
   * What refuses every living access token of a user below a generation: one row, or none. The
   * sessions are locked, so that none is refreshed between this and the end of the transaction.
   */
  async revocationsOfUser(executor: Executor, userId: string, gen: number): Promise<Revocation[]> {
    const rows = await executor
      .selectFrom('sessions')
      .select('access_expires_at')
      .where('user_id', '=', userId)
      .$if(isPostgres(executor), (query) => query.orderBy('id').forUpdate())
      .execute();
    const last = rows.reduce((latest, row) => Math.max(latest, row.access_expires_at), 0);
    const expiresAt = revocationExpiry(last);
    if (expiresAt <= this.clock.now()) return [];
    return [{ kind: 'sub', subject: userId, gen, expiresAt }];
  }

  /** An ended session is done with: it also counts as one that nobody uses, to be pruned. */
  #end(
    executor: Executor,
    userId: string,
    which: (eb: ExpressionBuilder<Schema, 'sessions'>) => Expression<SqlBool>,
  ): Promise<EndedRow[]> {
    const now = this.clock.now();
    return executor
      .updateTable('sessions')
      .set((eb) => ({
        ended_at: now,
        idle_expires_at: sooner(eb, 'idle_expires_at', now),
      }))
      .where('user_id', '=', userId)
      .where('ended_at', 'is', null)
      .where(which)
      .returning(['id', 'access_expires_at', 'idle_expires_at', 'ended_at'])
      .execute();
  }

  #ended(rows: readonly EndedRow[]): Ended {
    // What could not be refreshed any more keeps the time from which on that was so.
    const live = rows.filter((row) => row.idle_expires_at === row.ended_at);
    return { sessions: live.map(({ id }) => id), revocations: this.#revocations(rows) };
  }

  #revocations(ended: readonly EndedRow[]): Revocation[] {
    return ended
      .map(({ id, access_expires_at }) => ({
        kind: 'sid' as const,
        subject: id,
        expiresAt: revocationExpiry(access_expires_at),
      }))
      .filter(({ expiresAt }) => expiresAt > this.clock.now());
  }
}

interface Oldest {
  userId: string;
  opened: string;
  now: number;
  kept: number;
  most: number;
}

const selectOldest = prepared((executor, { userId, opened, now, kept, most }: Oldest) =>
  executor
    .selectFrom('sessions')
    .select('id')
    .where('user_id', '=', userId)
    .where('id', '!=', opened)
    .where(liveAt(now))
    .orderBy('auth_time', 'desc')
    .orderBy('rotated_at', 'desc')
    .orderBy('id')
    .limit(most)
    .offset(kept),
);
