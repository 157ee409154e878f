import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Config } from '../config/config.js';
import { HashQueue, type Owner } from './hash-queue.js';
import { passwordFaults } from './password-policy.js';
import { hashPassword, isWeaker, parseStoredHash, verifyPassword } from './stored-hash.js';

/** How many hashes may wait; at some 100 a second, the last one waits for about ten seconds. */
const QUEUE_CAPACITY = 1024;

/** What comparing a password told. `rehashed` replaces a hash that is too weak by now. */
export type Verdict = { matches: false } | { matches: true; rehashed?: string };

/** Hashes and compares passwords, in turn. */
@Injectable()
export class Passwords implements OnModuleInit {
  readonly #logger = new Logger('Passwords');
  readonly #queue: HashQueue;
  /** Compared where there is no user: the same work, so that time does not tell who exists. */
  #dummy = '';

  constructor(@Inject(Config) private readonly config: Config) {
    this.#queue = new HashQueue(config.concurrentHashes, QUEUE_CAPACITY);
  }

  async onModuleInit(): Promise<void> {
    this.#dummy = await hashPassword(randomBytes(16).toString('hex'), this.config.argon2);
  }

  /** Why somebody of this name cannot choose this password; empty when they can. */
  faults(password: string, username: string): string[] {
    return passwordFaults(password, username, this.config.passwordMinLength);
  }

  /** @throws temporarily_unavailable when too much is waiting */
  hash(owner: Owner, password: string): Promise<string> {
    return this.#queue.run(owner, () => hashPassword(normalize(password), this.config.argon2));
  }

  /**
   * Compares a password with a stored hash, or with nothing at the same cost.
   *
   * @param stored undefined where there is no such user
   * @throws temporarily_unavailable when too much is waiting
   */
  verify(owner: Owner, stored: string | undefined, password: string): Promise<Verdict> {
    return this.#queue.run(owner, async () => {
      const normalized = normalize(password);
      const parsed = stored === undefined ? undefined : parseStoredHash(stored);
      if (stored !== undefined && parsed === undefined) this.#tellUnusable();
      if (stored === undefined || parsed === undefined) return this.#verifyNothing(normalized);
      try {
        if (!(await verifyPassword(stored, parsed, normalized))) return { matches: false };
      } catch {
        // Whatever else a library has against a hash: an error would tell that the user exists.
        this.#tellUnusable();
        return this.#verifyNothing(normalized);
      }
      if (!isWeaker(parsed, this.config.argon2)) return { matches: true };
      return { matches: true, rehashed: await hashPassword(normalized, this.config.argon2) };
    });
  }

  async #verifyNothing(normalized: string): Promise<Verdict> {
    await verifyPassword(this.#dummy, { kind: 'argon2id', ...this.config.argon2 }, normalized);
    return { matches: false };
  }

  #tellUnusable(): void {
    this.#logger.error('A stored password hash is not usable');
  }
}

/** NFC, so that one password typed on two keyboards is one (NIST SP 800-63B-4, 3.1.1.2). */
function normalize(password: string): string {
  return password.normalize('NFC');
}
