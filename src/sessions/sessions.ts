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

  /**
   * What refuses every living access token of a user below a generation.
   * @returns undefined when none can be alive
   */
  async revocationOfUser(
    executor: Executor,
    userId: string,
    gen: number,
  ): Promise<Revocation | undefined> {
    const row = await executor
      .selectFrom('sessions')
      .select(({ fn }) => fn.max('access_expires_at').as('last'))
      .where('user_id', '=', userId)
      .executeTakeFirst();
    const expiresAt = revocationExpiry(row?.last ?? 0);
    if (expiresAt <= this.clock.now()) return undefined;
    return { kind: 'sub', subject: userId, gen, expiresAt };
  }
}
