import { unavailable } from '../errors.js';
import { hashQueue } from '../metrics/metrics.js';

/** Seconds after which a client should try again when the queue is full. */
const RETRY_AFTER = 2;

/** Milliseconds: shorter than it takes until a connection on which nothing moves is closed. */
const PATIENCE = 45_000;

/** On whose behalf a hash is computed, so that nobody takes all of the queue. */
export interface Owner {
  address: string;
  /** Registrations, which anyone can send, share a quarter of it. */
  purpose: 'login' | 'registration' | 'administration';
}

/**
 * A bounded queue for work that costs a core for milliseconds. As many run at once as there are
 * cores: more would only wait in libuv's pool, in front of everything else that uses it.
 */
export class HashQueue {
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  /** How many each address and each purpose holds, running ones included. */
  readonly #held = new Map<string, number>();
  readonly #share: number;

  constructor(
    private readonly concurrency: number,
    private readonly capacity: number,
    /** Milliseconds that work waits for its turn. */
    private readonly patience = PATIENCE,
  ) {
    this.#share = Math.ceil(capacity / 4);
  }

  get length(): number {
    return this.#running + this.#waiting.length;
  }

  /**
   * Runs the work when its turn comes.
   * @throws temporarily_unavailable when the queue, or this owner's share of it, is full, and when
   *   its turn does not come
   */
  async run<T>({ address, purpose }: Owner, work: () => Promise<T>): Promise<T> {
    const shares = purpose === 'registration' ? [address, purpose] : [address];
    if (this.length >= this.capacity || shares.some((key) => this.#count(key) >= this.#share)) {
      throw unavailable('busy', RETRY_AFTER);
    }
    for (const key of shares) this.#held.set(key, this.#count(key) + 1);
    hashQueue.inc();
    try {
      await this.#turn();
      try {
        return await work();
      } finally {
        this.#next();
      }
    } finally {
      for (const key of shares) this.#release(key);
      hashQueue.dec();
    }
  }

  async #turn(): Promise<void> {
    if (this.#running < this.concurrency) {
      this.#running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const granted = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(granted), 1);
        reject(unavailable('busy', RETRY_AFTER));
      }, this.patience).unref();
      this.#waiting.push(granted);
    });
  }

  /** Hands the place on to who waits longest, or frees it. */
  #next(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running--;
  }

  #count(key: string): number {
    return this.#held.get(key) ?? 0;
  }

  #release(key: string): void {
    const left = this.#count(key) - 1;
    if (left === 0) this.#held.delete(key);
    else this.#held.set(key, left);
  }
}
