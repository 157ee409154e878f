import {
  Inject,
  Injectable,
  Logger,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { Database } from '../database/database.js';
import { causeOf } from '../database/unavailable.js';

/** Milliseconds. */
const WRITE_EVERY = 30_000;

/** When each API token was last used: kept, and written together, so that no request waits. */
@Injectable()
export class LastUses implements OnModuleInit, OnModuleDestroy {
  readonly #logger = new Logger('ApiTokens');
  #noted = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(@Inject(Database) private readonly db: Database) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.write(), WRITE_EVERY).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.write();
  }

  /** @param at epoch milliseconds */
  note(id: string, at: number): void {
    this.#noted.set(id, at);
  }

  /** What cannot be written now is written the next time. */
  async write(): Promise<void> {
    if (this.#noted.size === 0) return;
    const noted = this.#noted;
    this.#noted = new Map();
    try {
      await this.db.transaction().execute(async (trx) => {
        // In one order in every process: two that write the same rows never wait for each other.
        for (const [id, at] of [...noted].sort(([a], [b]) => (a < b ? -1 : 1))) {
          await trx
            .updateTable('api_tokens')
            .set({ last_used_at: at })
            .where('id', '=', id)
            .where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
            .execute();
        }
      });
    } catch (error) {
      this.#logger.warn(`The last uses could not be written: ${causeOf(error)}`);
      this.#noted = new Map([...noted, ...this.#noted]);
    }
  }
}
