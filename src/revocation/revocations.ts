import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Database, type Executor, POLLING } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { causeOf, unavailable } from '../errors.js';
import { RevocationReader } from './revocation-reader.js';
import type { Revocable, Revocation } from './revocation.js';
import { RevocationSet } from './revocation-set.js';

/** Milliseconds. */
const POLL_EVERY = 500;
const PRUNE_EVERY = 60_000;
/** By so much two clocks may differ everywhere here. */
const CLOCK_JUMP = 5_000;
const PRUNE_BATCH = 1_000;
const PRUNE_PAUSE = 20;
/** After a start, and after a jump of the clock, nothing is pruned for so long. */
const STEADY_FOR = 3_600_000;

/** Revokes in the transaction that it was given in. */
export type Revoke = (revocations: readonly Revocation[]) => Promise<void>;

/** Refuses tokens before they expire, from memory: no request reads the database for it. */
@Injectable()
export class Revocations implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Revocations');
  readonly #set = new RevocationSet();
  readonly #reader: RevocationReader;
  /** When the last good read began. Before the first one nothing is accepted. */
  #readAt = -Infinity;
  #prunedAt = -Infinity;
  #pruneFrom = -Infinity;
  #version = 0;
  /** Of the wall clock before the one that only goes forwards; milliseconds. */
  #clockAhead = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(POLLING) polling: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
  ) {
    this.#reader = new RevocationReader(polling);
  }

  async onModuleInit(): Promise<void> {
    await this.#poll();
    this.#schedule();
  }

  /** Not before the last request in flight: what is revoked meanwhile binds it, too. */
  async onApplicationShutdown(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#reading;
  }

  get fresh(): boolean {
    return this.clock.monotonic() - this.#readAt <= this.config.revocationMaxStaleness;
  }

  /** @throws temporarily_unavailable when the memory is older than `REVOCATION_MAX_STALENESS` */
  isRevoked(claims: Revocable): boolean {
    this.#requireFresh();
    return this.#set.has(claims);
  }

  /** @throws temporarily_unavailable as `isRevoked` */
  isApiTokenRevoked(id: string): boolean {
    this.#requireFresh();
    return this.#set.hasApiToken(id);
  }

  /** Whether a user has other rights by now than at this generation. @throws as `isRevoked` */
  isBelow(sub: string, gen: number): boolean {
    this.#requireFresh();
    return this.#set.isBelow(sub, gen);
  }

  /** Changes whenever something was revoked. @throws temporarily_unavailable as `isRevoked` */
  get version(): number {
    this.#requireFresh();
    return this.#version;
  }

  /**
   * All that is refused now, and when (epoch milliseconds) that was so.
   * @throws temporarily_unavailable as `isRevoked`
   */
  snapshot(): ReturnType<RevocationSet['entries']> & { readAt: number } {
    this.#requireFresh();
    const now = this.clock.now();
    const readAt = now - (this.clock.monotonic() - this.#readAt);
    // Nothing is pruned for it: the clock may be wrong, and whoever asks is not known.
    return { ...this.#set.entries(now), readAt };
  }

  #requireFresh(): void {
    if (!this.fresh) throw unavailable('state_stale', 1);
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
    for (const revocation of revocations) {
      if (this.#set.add(revocation)) this.#version++;
    }
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#reading = this.refresh().finally(() => this.#timer && this.#schedule());
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
    const { revocations, clockOffset } = await this.#reader.next();
    this.#apply(revocations);
    this.#readAt = startedAt;
    if (clockOffset !== undefined) this.clock.correct(clockOffset);
    this.#watchClock();
    if (startedAt - this.#prunedAt >= PRUNE_EVERY && startedAt >= this.#pruneFrom) {
      this.#prunedAt = startedAt;
      // Nothing waits for it: it has the connections that everybody has.
      void this.#prune().catch(() => undefined);
    }
  }

  /** A clock that is set back makes tokens live longer: the operator should know. */
  #watchClock(): void {
    // Both at once: between a read and its answer there may be seconds.
    const monotonic = this.clock.monotonic();
    const ahead = this.clock.now() - monotonic;
    if (ahead < this.#clockAhead - CLOCK_JUMP) {
      const seconds = Math.round((this.#clockAhead - ahead) / 1000);
      this.#logger.warn(`The clock went back by ${seconds} s: what expires, expires later`);
    }
    // It may be wrong now and right again soon: what seems over by it is kept for a while.
    if (Math.abs(ahead - this.#clockAhead) > CLOCK_JUMP) {
      this.#pruneFrom = monotonic + STEADY_FOR;
    }
    this.#clockAhead = ahead;
  }

  /** A few rows at a time, so that nobody waits for it. What is left, the next round deletes. */
  async #prune(): Promise<void> {
    const now = this.clock.now();
    this.#set.prune(now);
    for (;;) {
      const { numDeletedRows } = await this.db
        .deleteFrom('revocations')
        .where('id', 'in', (some) =>
          some
            .selectFrom('revocations')
            .select('id')
            .where('expires_at', '<=', now)
            .limit(PRUNE_BATCH),
        )
        .executeTakeFirstOrThrow();
      if (numDeletedRows < PRUNE_BATCH || this.#timer === undefined) return;
      await sleep(PRUNE_PAUSE, undefined, { ref: false });
    }
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
        sid: revocation.kind === 'jti' ? (revocation.sid ?? null) : null,
        expires_at: revocation.expiresAt,
      })),
    )
    .execute();
}
