import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';

/** Milliseconds. */
const EVERY = 60_000;
const PAUSE = 100;
/** Longer than any access token of an ended session can live, and its revocation. */
const KEPT_FOR = 25 * 3_600_000;
const BATCH = 200;

/** Deletes the rows of sessions that are over, a few at a time, so that nobody waits for it. */
@Injectable()
export class SessionPruning implements OnModuleInit, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.#timer = setTimeout(() => void this.#round(), EVERY).unref();
  }

  onModuleDestroy(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** @returns how many rows were deleted */
  async prune(): Promise<number> {
    let pruned = 0;
    while (!this.#stopped) {
      const deleted = await this.#pruneBatch();
      pruned += deleted;
      if (deleted < BATCH) break;
      await sleep(PAUSE, undefined, { ref: false });
    }
    return pruned;
  }

  async #round(): Promise<void> {
    // A database that cannot be reached is told about elsewhere; the next round comes.
    await this.prune().catch(() => undefined);
    if (!this.#stopped) this.onModuleInit();
  }

  async #pruneBatch(): Promise<number> {
    const over = this.clock.now() - KEPT_FOR;
    const { numDeletedRows } = await this.db
      .deleteFrom('sessions')
      .where('id', 'in', (some) =>
        some.selectFrom('sessions').select('id').where('idle_expires_at', '<=', over).limit(BATCH),
      )
      .executeTakeFirstOrThrow();
    return Number(numDeletedRows);
  }
}
