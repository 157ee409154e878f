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
 * cores: more would only wait in libuv's pool, in front of everything else that uses it. The turn
 * goes from address to address, so that whoever sends much waits behind their own.
 */
export class HashQueue {
  #length = 0;
  #running = 0;
  /** By address, in the order of their turns. */
  readonly #waiting = new Map<string, Set<() => void>>();
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
    return this.#length;
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
    this.#length++;
    hashQueue.inc();
    try {
      await this.#turn(address);
      try {
        return await work();
      } finally {
        this.#next();
      }
    } finally {
      for (const key of shares) this.#release(key);
      this.#length--;
      hashQueue.dec();
    }
  }

  async #turn(address: string): Promise<void> {
    if (this.#running < this.concurrency) {
      this.#running++;
      return;
    }
    const line = this.#waiting.get(address) ?? new Set();
    this.#waiting.set(address, line);
    await new Promise<void>((resolve, reject) => {
      const granted = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        line.delete(granted);
        if (line.size === 0) this.#waiting.delete(address);
        reject(unavailable('busy', RETRY_AFTER));
      }, this.patience).unref();
      line.add(granted);
    });
  }

  /** Hands the place on to who waits longest at the next address, or frees it. */
  #next(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running--;
      return;
    }
    const [address, line] = next;
    const [granted] = line;
    line.delete(granted!);
    this.#waiting.delete(address);
    if (line.size > 0) this.#waiting.set(address, line);
    granted!();
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
