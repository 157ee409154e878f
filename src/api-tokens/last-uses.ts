import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { Database, type Executor } from '../database/database.js';
import { causeOf } from '../errors.js';
import { unflushed } from '../database/unflushed.js';

/** Milliseconds. */
const WRITE_EVERY = 30_000;

/** Tokens that are written in one transaction: on SQLite everybody waits for it. */
const CHUNK = 200;

/** When each API token was last used: kept, and written together, so that no request waits. */
@Injectable()
export class LastUses implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('ApiTokens');
  #noted = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(@Inject(Database) private readonly db: Database) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.write(), WRITE_EVERY).unref();
  }

  /** After the last request in flight. */
  async onApplicationShutdown(): Promise<void> {
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
    // In one order in every process: two that write the same rows never wait for each other.
    const noted = [...this.#noted].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#noted = new Map();
    try {
      while (noted.length > 0) {
        await unflushed(this.db, (trx) => writeUses(trx, noted.slice(0, CHUNK)));
        noted.splice(0, CHUNK);
        // Promises alone would never let a request in: SQLite answers at once.
        await nextTurn();
      }
    } catch (error) {
      this.#logger.warn(`The last uses could not be written: ${causeOf(error)}`);
      this.#noted = new Map([...noted, ...this.#noted]);
    }
  }
}

async function writeUses(trx: Executor, uses: readonly [id: string, at: number][]): Promise<void> {
  for (const [id, at] of uses) {
    await trx
      .updateTable('api_tokens')
      .set({ last_used_at: at })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
      .execute();
  }
}
