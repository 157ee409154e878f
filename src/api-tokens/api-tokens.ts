import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Database, type Executor, isPostgres } from '../database/database.js';
import { conflict } from '../errors.js';
import { type Revocation, revocationExpiry } from '../revocation/revocation.js';
import { scopesIn } from '../roles.js';
import { hashSecret, makeApiToken } from './api-token.js';

/** Milliseconds that a token is remembered: what refuses it has to live for longer. */
export const REMEMBERED_FOR = 300_000;
const MOST_OF_ONE_USER = 1000;
/** Milliseconds. */
const COUNTED_FOR = 3_600_000;

/** What may be shown of an API token. Times are epoch milliseconds. */
export interface ApiToken {
  id: string;
  name: string;
  scopes: readonly string[];
  createdAt: number;
  /** Undefined for one that does not expire. */
  expiresAt: number | undefined;
  /** To about half a minute. */
  lastUsedAt: number | undefined;
}

export interface NewApiToken {
  name: string;
  scopes: readonly string[];
  /** Seconds; undefined for one that does not expire. */
  expiresIn: number | undefined;
}

/** Tokens that programs keep: opaque, as long-lived as their owner wants. */
@Injectable()
export class ApiTokens {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  /**
   * @returns the token, which is nowhere else
   * @throws conflict when the user has a thousand
   */
  async create(
    executor: Executor,
    userId: string,
    { name, scopes, expiresIn }: NewApiToken,
  ): Promise<{ token: string; created: ApiToken }> {
    const { token, id, secret } = makeApiToken();
    const createdAt = this.clock.now();
    const expiresAt = expiresIn === undefined ? undefined : createdAt + expiresIn * 1000;
    if ((await this.#count(executor, userId)) >= MOST_OF_ONE_USER) {
      throw conflict('too_many_api_tokens', 'There are too many API tokens: end some first');
    }
    await executor
      .insertInto('api_tokens')
      .values({
        id,
        user_id: userId,
        name,
        secret_hash: hashSecret(secret),
        scopes: scopes.join(' '),
        created_at: createdAt,
        expires_at: expiresAt ?? null,
        last_used_at: null,
        ended_at: null,
      })
      .execute();
    return { token, created: { id, name, scopes, createdAt, expiresAt, lastUsedAt: undefined } };
  }

  /** Those that live, and those of the last hour: ending some is no way to make ever more. */
  async #count(executor: Executor, userId: string): Promise<number> {
    const rows = await executor
      .selectFrom('api_tokens')
      .select('id')
      .where('user_id', '=', userId)
      .where((eb) =>
        eb.or([eb('ended_at', 'is', null), eb('created_at', '>', this.clock.now() - COUNTED_FOR)]),
      )
      .execute();
    return rows.length;
  }

  /** Those of a user that have not been ended, the newest first; expired ones too. */
  async list(userId: string, executor: Executor = this.db): Promise<ApiToken[]> {
    const rows = await live(executor, userId)
      .select(['name', 'scopes', 'created_at', 'expires_at', 'last_used_at'])
      .orderBy('created_at', 'desc')
      .orderBy('id')
      .execute();
    return rows.map((row) => ({
      id: row.id,
      name: row.name,
      scopes: scopesIn(row.scopes),
      createdAt: row.created_at,
      expiresAt: row.expires_at ?? undefined,
      lastUsedAt: row.last_used_at ?? undefined,
    }));
  }

  /**
   * Ends one token of a user, or all of them.
   * @returns what refuses them where they are remembered; empty where there was none
   */
  async end(executor: Executor, userId: string, id?: string): Promise<Revocation[]> {
    const now = this.clock.now();
    // In the order in which their last uses are written, of which one would wait for the other.
    const rows = await live(executor, userId)
      .$if(id !== undefined, (query) => query.where('id', '=', id!))
      .orderBy('id')
      .$if(isPostgres(executor), (query) => query.forUpdate())
      .execute();
    if (rows.length === 0) return [];
    const ended = await executor
      .updateTable('api_tokens')
      .set({ ended_at: now })
      .where(
        'id',
        'in',
        rows.map((row) => row.id),
      )
      .where('ended_at', 'is', null)
      .returning('id')
      .execute();
    const expiresAt = revocationExpiry(now + REMEMBERED_FOR);
    return ended.map((row) => ({ kind: 'api', subject: row.id, expiresAt }));
  }

  /** What has the tokens of a user read again by whoever remembers them: one row, or none. */
  async rereadOfUser(executor: Executor, userId: string, gen: number): Promise<Revocation[]> {
    if ((await live(executor, userId).limit(1).execute()).length === 0) return [];
    const expiresAt = revocationExpiry(this.clock.now() + REMEMBERED_FOR);
    return [{ kind: 'sub', subject: userId, gen, expiresAt }];
  }
}

const live = (executor: Executor, userId: string) =>
  executor
    .selectFrom('api_tokens')
    .select('id')
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null);
