import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';

/** Milliseconds. */
const EVERY = 60_000;
/** Longer than an hour, for which a token counts, ended or not, against how many a user may make. */
const KEPT_FOR = 2 * 3_600_000;

/** Deletes the rows of API tokens that ended long ago. */
@Injectable()
export class ApiTokenPruning implements OnModuleInit, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    // A database that cannot be reached is told about elsewhere; the next time comes.
    this.#timer = setInterval(() => void this.prune().catch(() => undefined), EVERY).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  async prune(): Promise<void> {
    await this.db
      .deleteFrom('api_tokens')
      .where('ended_at', '<', this.clock.now() - KEPT_FOR)
      .execute();
  }
}
