import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Database, type Executor, isPostgres } from '../database/database.js';
import type { SessionsTable } from '../database/schema.js';
import { scopesIn } from '../roles.js';
import { type RefreshTokenId, RefreshTokens } from './refresh-tokens.js';
import {
  advance,
  insertSession,
  liveAt,
  repeat,
  type ReturnedSession,
  type Seen,
} from './session-rows.js';

/** A session as it stands in an access token. */
export interface Session {
  /** The public `sid`. */
  id: string;
  userId: string;
  /** What was granted at login. */
  scopes: readonly string[];
  /** Epoch seconds of the login. */
  authTime: number;
  /** What refreshes it; undefined for a session that ends with its access token. */
  refresh?: Refresh;
}

export interface Refresh {
  token: string;
  /** Epoch milliseconds: without a refresh until then, the session ends. */
  expiresAt: number;
  /** Epoch milliseconds: the session ends then, however often it is refreshed. */
  sessionExpiresAt: number;
}

/** A session as its user sees it. Times are epoch milliseconds. */
export interface ListedSession {
  id: string;
  createdAt: number;
  lastUsedAt: number;
  expiresAt: number;
  address: string | null;
  userAgent: string | null;
}

/** From where a login or a refresh comes. */
export interface Client {
  address: string;
  userAgent: string | undefined;
}

/** The times of an access token, fixed before anything is written about it; epoch seconds. */
export interface Lifetime {
  issuedAt: number;
  expiresAt: number;
}

interface NewSession {
  userId: string;
  scopes: readonly string[];
  lifetime: Lifetime;
  client: Client;
  /** Without it, the session ends with its access token. */
  refreshable: boolean;
}

/** Milliseconds by which two clocks may differ. */
const CLOCK_DIFFERENCE = 5_000;
/** Characters. */
const MAX_USER_AGENT = 256;

/** One login is one session is one row; every token belongs to one. */
@Injectable()
export class Sessions {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly refreshTokens: RefreshTokens,
  ) {}

  /** Opens a session in the caller's transaction, which holds the user's row. */
  async open(executor: Executor, session: NewSession): Promise<Session> {
    const { userId, scopes, lifetime, client, refreshable } = session;
    const now = lifetime.issuedAt * 1000;
    const expiresAt = now + this.config.sessionTtl * 1000;
    const row = {
      id: randomUUID(),
      user_id: userId,
      scopes: scopes.join(' '),
      auth_time: now,
      refresh_id: refreshable ? this.refreshTokens.newId() : null,
      counter: 0,
      rotated_at: this.clock.now(),
      idle_expires_at: refreshable
        ? Math.min(now + this.config.sessionIdleTtl * 1000, expiresAt)
        : lifetime.expiresAt * 1000,
      expires_at: expiresAt,
      access_expires_at: lifetime.expiresAt * 1000,
      ended_at: null,
      ...seenFrom(client),
    };
    await insertSession(executor, row);
    return this.#toSession(row);
  }

  /**
   * Puts the next refresh token in the place of the one that is presented: one conditional update,
   * so that of any number at once one rotates it. For the reuse interval the others, and a client
   * that lost the answer, get the same successor.
   *
   * @returns undefined where the token is not the valid one
   */
  async rotate(
    executor: Executor,
    { refreshId, counter }: RefreshTokenId,
    lifetime: Lifetime,
    client: Client,
  ): Promise<Session | undefined> {
    const now = this.clock.now();
    const idleExpiresAt = (lifetime.issuedAt + this.config.sessionIdleTtl) * 1000;
    const use = { refreshId, now, accessExpiresAt: lifetime.expiresAt * 1000 };
    const next = counter + 1;
    const [valid] = await advance(executor, {
      ...use,
      ...seenFrom(client),
      counter,
      next,
      idleExpiresAt,
    });
    if (valid !== undefined) return this.#toSession(valid);
    const [row] = await repeat(executor, {
      ...use,
      next,
      rotatedFrom: now - this.config.refreshTokenReuseInterval,
      rotatedUntil: now + CLOCK_DIFFERENCE,
    });
    return row && this.#toSession(row);
  }

  /** What a genuine refresh token names; undefined for any other text. */
  read(refreshToken: string): RefreshTokenId | undefined {
    return this.refreshTokens.read(refreshToken);
  }

  /** The session that a genuine refresh token belongs to, locked where that is asked for. */
  async find(
    executor: Executor,
    refreshId: string,
    { lock = false } = {},
  ): Promise<Selectable<SessionsTable> | undefined> {
    return executor
      .selectFrom('sessions')
      .selectAll()
      .where('refresh_id', '=', refreshId)
      .$if(lock && isPostgres(executor), (query) => query.forUpdate())
      .executeTakeFirst();
  }

  /** Whether the clock was set back since its last refresh: how long ago that was is not known. */
  isAhead({ rotated_at: rotatedAt }: Pick<SessionsTable, 'rotated_at'>): boolean {
    return rotatedAt > this.clock.now() + CLOCK_DIFFERENCE;
  }

  /** From then on the token before the valid one is one that was used again. */
  async endReuseInterval(executor: Executor, id: string): Promise<void> {
    const rotatedAt = this.clock.now() - this.config.refreshTokenReuseInterval - 1;
    await executor
      .updateTable('sessions')
      .set({ rotated_at: rotatedAt })
      .where('id', '=', id)
      .execute();
  }

  /** Of a session that is over: its refresh tokens are as good as unknown from then on. */
  async forgetRefreshToken(executor: Executor, id: string): Promise<void> {
    await executor.updateTable('sessions').set({ refresh_id: null }).where('id', '=', id).execute();
  }

  /** Whether a session that was not ended can still be used. */
  isLive(session: Pick<SessionsTable, 'ended_at' | 'idle_expires_at' | 'expires_at'>): boolean {
    const now = this.clock.now();
    return session.ended_at === null && session.idle_expires_at > now && session.expires_at > now;
  }

  /** The live sessions of a user, the last used one first. */
  async list(userId: string): Promise<ListedSession[]> {
    const now = this.clock.now();
    const rows = await this.db
      .selectFrom('sessions')
      .select(['id', 'auth_time', 'rotated_at', 'idle_expires_at', 'address', 'user_agent'])
      .where('user_id', '=', userId)
      .where(liveAt(now))
      .orderBy('rotated_at', 'desc')
      .orderBy('id')
      .execute();
    return rows.map((row) => ({
      id: row.id,
      createdAt: row.auth_time,
      lastUsedAt: row.rotated_at,
      expiresAt: row.idle_expires_at,
      address: row.address,
      userAgent: row.user_agent,
    }));
  }

  #toSession(row: ReturnedSession): Session {
    const { refresh_id: refreshId, counter } = row;
    return {
      id: row.id,
      userId: row.user_id,
      scopes: scopesIn(row.scopes),
      authTime: row.auth_time / 1000,
      ...(refreshId !== null && {
        refresh: {
          token: this.refreshTokens.issue({ refreshId, counter }),
          expiresAt: row.idle_expires_at,
          sessionExpiresAt: row.expires_at,
        },
      }),
    };
  }
}

/** Text that is well-formed and short, since anybody can send anything. */
function seenFrom({ address, userAgent }: Client): Seen {
  return { address, user_agent: userAgent?.toWellFormed().slice(0, MAX_USER_AGENT) ?? null };
}
