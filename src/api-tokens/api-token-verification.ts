import { hash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import { LatchkeyError, tokenExpired, tokenInvalid, tokenRevoked } from '../errors.js';
import { Revocations } from '../revocation/revocations.js';
import { scopesIn, stillHeld } from '../roles.js';
import { hashSecret, parseApiToken } from './api-token.js';
import { REMEMBERED_FOR } from './api-tokens.js';
import { LastUses } from './last-uses.js';

const MOST_REMEMBERED = 10_000;

/** Whom an API token speaks for. */
export interface ApiTokenOwner {
  id: string;
  username: string;
  tokenId: string;
  /** The token's own, as far as the user still has them. */
  scopes: readonly string[];
  /** It belongs to no session, and nobody logged in for it. */
  sessionId: undefined;
  authTime: undefined;
}

interface Remembered {
  owner: ApiTokenOwner;
  gen: number;
  expiresAt: number | undefined;
  /** By the clock that only goes forwards. */
  readAt: number;
}

/** Judges API tokens: from memory, where they were read lately, and else from the database. */
@Injectable()
export class ApiTokenVerification {
  /** By the hash of the whole token: nothing that could be used is in memory. */
  readonly #remembered = new LRUCache<string, Remembered>({ max: MOST_REMEMBERED });

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    private readonly revocations: Revocations,
    private readonly lastUses: LastUses,
  ) {}

  /**
   * Whom a token speaks for, if it was read lately and nothing has changed since: no database.
   * @throws token_expired, token_revoked, temporarily_unavailable
   */
  recall(token: string): ApiTokenOwner | undefined {
    const key = keyOf(token);
    const known = this.#remembered.get(key);
    if (known === undefined) return undefined;
    const { owner, gen } = known;
    if (this.revocations.isApiTokenRevoked(owner.tokenId)) throw tokenRevoked();
    const stale =
      this.clock.monotonic() - known.readAt > REMEMBERED_FOR ||
      // The owner's rights are others by now, which is no reason to refuse the token.
      this.revocations.isBelow(owner.id, gen);
    if (stale) {
      this.#remembered.delete(key);
      return undefined;
    }
    this.#use(known);
    return owner;
  }

  /**
   * Whom a token speaks for, as the database has it now.
   * @throws token_invalid, token_expired, token_revoked, temporarily_unavailable
   */
  async verify(token: string): Promise<ApiTokenOwner> {
    const known = await this.#read(token);
    this.#use(known);
    this.#remembered.set(keyOf(token), known);
    return known.owner;
  }

  /**
   * What a token is worth, without using it; undefined where it would be refused.
   * @throws temporarily_unavailable
   */
  async inspect(
    token: string,
  ): Promise<{ owner: ApiTokenOwner; expiresAt: number | undefined } | undefined> {
    try {
      const { owner, expiresAt } = await this.#read(token);
      return this.#isOver(expiresAt) ? undefined : { owner, expiresAt };
    } catch (error) {
      if (error instanceof LatchkeyError && error.error === 'invalid_token') return undefined;
      throw error;
    }
  }

  /** @throws token_invalid, token_revoked, temporarily_unavailable */
  async #read(token: string): Promise<Remembered> {
    const parts = parseApiToken(token);
    if (parts === undefined) throw tokenInvalid();
    const readAt = this.clock.monotonic();
    const row = await this.db
      .selectFrom('api_tokens')
      .innerJoin('users', 'users.id', 'api_tokens.user_id')
      .select([
        'api_tokens.secret_hash',
        'api_tokens.scopes',
        'api_tokens.expires_at',
        'api_tokens.ended_at',
        'users.id as user_id',
        'users.username',
        'users.roles',
        'users.gen',
        'users.disabled_at',
      ])
      .where('api_tokens.id', '=', parts.id)
      .executeTakeFirst();
    if (!isSecret(parts.secret, row?.secret_hash) || row === undefined) throw tokenInvalid();
    if (row.ended_at !== null || row.disabled_at !== null) throw tokenRevoked();
    const known = {
      owner: Object.freeze({
        id: row.user_id,
        username: row.username,
        tokenId: parts.id,
        sessionId: undefined,
        authTime: undefined,
        scopes: Object.freeze(stillHeld(scopesIn(row.scopes), row.roles.split(' '))),
      }),
      gen: row.gen,
      expiresAt: row.expires_at ?? undefined,
      readAt,
    };
    // It may have been ended between the read and now, and this process may know.
    if (this.revocations.isApiTokenRevoked(parts.id)) throw tokenRevoked();
    return known;
  }

  #use({ owner, expiresAt }: Remembered): void {
    if (this.#isOver(expiresAt)) throw tokenExpired();
    this.lastUses.note(owner.tokenId, this.clock.now());
  }

  #isOver(expiresAt = Infinity): boolean {
    return expiresAt <= this.clock.now();
  }
}

const keyOf = (token: string): string => hash('sha256', token, 'base64url');

const NOBODYS = hashSecret('');

/** The same work where there is no such token: no timing oracle for ids. */
function isSecret(secret: string, stored: string = NOBODYS): boolean {
  return timingSafeEqual(Buffer.from(hashSecret(secret)), Buffer.from(stored));
}
