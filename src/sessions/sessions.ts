import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import type { Executor } from '../database/database.js';
import { type Revocation, revocationExpiry } from '../revocation/revocation.js';

/** A session as it stands in an access token. */
export interface Session {
  /** The public `sid`. */
  id: string;
  scopes: readonly string[];
  /** Epoch seconds of the login. */
  authTime: number;
}

/** One login is one session is one row; every access token belongs to one. */
@Injectable()
export class Sessions {
  constructor(
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  /**
   * Opens a session in the caller's transaction, which holds the user's row.
   * @param lifetime of the access token that is issued with it, in epoch seconds
   */
  async open(
    executor: Executor,
    userId: string,
    scopes: readonly string[],
    lifetime: { issuedAt: number; expiresAt: number },
  ): Promise<Session> {
    const id = randomUUID();
    await executor
      .insertInto('sessions')
      .values({
        id,
        user_id: userId,
        scopes: scopes.join(' '),
        auth_time: lifetime.issuedAt * 1000,
        expires_at: (lifetime.issuedAt + this.config.sessionTtl) * 1000,
        access_expires_at: lifetime.expiresAt * 1000,
        ended_at: null,
      })
      .execute();
    return { id, scopes, authTime: lifetime.issuedAt };
  }

  /** Ends every session of a user whose access tokens are refused by `revocationsOfUser`. */
  async endAll(executor: Executor, userId: string): Promise<void> {
    await executor
      .updateTable('sessions')
      .set({ ended_at: this.clock.now() })
      .where('user_id', '=', userId)
      .where('ended_at', 'is', null)
      .execute();
  }

  /**
   * Ends every session of a user but one.
   * @returns what refuses the access tokens of theirs that are still alive
   */
  async endOthers(executor: Executor, userId: string, kept: string): Promise<Revocation[]> {
    const now = this.clock.now();
    const ended = await executor
      .updateTable('sessions')
      .set({ ended_at: now })
      .where('user_id', '=', userId)
      .where('id', '!=', kept)
      .where('ended_at', 'is', null)
      .returning(['id', 'access_expires_at'])
      .execute();
    return ended
      .map(({ id, access_expires_at }) => ({
        kind: 'sid' as const,
        subject: id,
        expiresAt: revocationExpiry(access_expires_at),
      }))
      .filter(({ expiresAt }) => expiresAt > now);
  }

  /** What refuses every living access token of a user below a generation: one row, or none. */
  async revocationsOfUser(executor: Executor, userId: string, gen: number): Promise<Revocation[]> {
    const row = await executor
      .selectFrom('sessions')
      .select(({ fn }) => fn.max('access_expires_at').as('last'))
      .where('user_id', '=', userId)
      .executeTakeFirst();
    const expiresAt = revocationExpiry(row?.last ?? 0);
    if (expiresAt <= this.clock.now()) return [];
    return [{ kind: 'sub', subject: userId, gen, expiresAt }];
  }
}
