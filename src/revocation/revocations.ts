import {
  Inject,
  Injectable,
  Logger,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Database, type Executor } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { causeOf } from '../database/unavailable.js';
import { unavailable } from '../errors.js';
import { RevocationFeed } from './revocation-feed.js';
import type { Revocable, Revocation } from './revocation.js';
import { RevocationSet } from './revocation-set.js';

/** Milliseconds. */
const POLL_EVERY = 500;
const PRUNE_EVERY = 60_000;

/** Revokes in the transaction that it was given in. */
export type Revoke = (revocations: readonly Revocation[]) => Promise<void>;

/** Refuses tokens before they expire, from memory: no request reads the database for it. */
@Injectable()
export class Revocations implements OnModuleInit, OnModuleDestroy {
  readonly #logger = new Logger('Revocations');
  readonly #set = new RevocationSet();
  readonly #feed: RevocationFeed;
  /** When the last good read began. Before the first one nothing is accepted. */
  #readAt = -Infinity;
  #prunedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
  ) {
    this.#feed = new RevocationFeed(db);
  }

  async onModuleInit(): Promise<void> {
    await this.#poll();
    this.#schedule();
  }

  onModuleDestroy(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get fresh(): boolean {
    return this.clock.monotonic() - this.#readAt <= this.config.revocationMaxStaleness;
  }

  /** @throws temporarily_unavailable when the memory is older than `REVOCATION_MAX_STALENESS` */
  isRevoked(claims: Revocable): boolean {
    if (!this.fresh) throw unavailable('state_stale', 1);
    return this.#set.has(claims);
  }

  /**
   * A transaction that may revoke. What it revoked binds this process as soon as it has
   * committed, and every other one within a poll.
   */
  async transaction<T>(work: (trx: Transaction<Schema>, revoke: Revoke) => Promise<T>): Promise<T> {
    const written: Revocation[] = [];
    const result = await this.db.transaction().execute((trx) =>
      work(trx, async (revocations) => {
        await insert(trx, revocations);
        written.push(...revocations);
      }),
    );
    this.#apply(written);
    return result;
  }

  #apply(revocations: readonly Revocation[]): void {
    for (const revocation of revocations) this.#set.add(revocation);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      void this.refresh().finally(() => this.#timer && this.#schedule());
    }, POLL_EVERY).unref();
  }

  /** Reads what is new now; a failure is logged, and the memory grows stale. */
  async refresh(): Promise<void> {
    try {
      await this.#poll();
      if (this.#failing) this.#logger.log('The revocations are read again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#logger.warn(`Revocations cannot be read: ${causeOf(error)}`);
      this.#failing = true;
    }
  }

  async #poll(): Promise<void> {
    const startedAt = this.clock.monotonic();
    const { revocations, clockOffset } = await this.#feed.next(this.clock.now());
    this.#apply(revocations);
    this.#readAt = startedAt;
    if (clockOffset !== undefined) this.clock.correct(clockOffset);
    if (startedAt - this.#prunedAt >= PRUNE_EVERY) {
      this.#prunedAt = startedAt;
      await this.#prune(this.clock.now());
    }
  }

  async #prune(now: number): Promise<void> {
    this.#set.prune(now);
    await this.db.deleteFrom('revocations').where('expires_at', '<=', now).execute();
  }
}

async function insert(executor: Executor, revocations: readonly Revocation[]): Promise<void> {
  if (revocations.length === 0) return;
  await executor
    .insertInto('revocations')
    .values(
      revocations.map((revocation) => ({
        kind: revocation.kind,
        subject: revocation.subject,
        gen: revocation.kind === 'sub' ? revocation.gen : null,
        expires_at: revocation.expiresAt,
      })),
    )
    .execute();
}
