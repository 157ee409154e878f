import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Clock } from '../clock.js';
import { Database, type Executor } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { causeOf } from '../errors.js';
import {
  type AuditRow,
  isGenuineCheckpoint,
  isGenuineSeal,
  type Link,
  linkOf,
  makeCheckpoint,
  makeSeal,
  RowDigests,
} from './seal.js';
import { type SealKey, SealKeys } from './seal-keys.js';
import { lastCheckpoint, lastSeal, proveLastLink, readRows } from './seal-store.js';
import { becomeOnlySealer, SettledRows, waitToBeOnlySealer } from './settled-rows.js';

/** Milliseconds. */
const SEAL_EVERY = 1_000;
const TELL_EVERY = 3_600_000;
/** Between two seals, when there is much to catch up with: logins come first. */
const PAUSE = 20;
/** A process that stops waits so long for transactions whose rows could still come before its last. */
const LAST_SEAL_WITHIN = 1_000;

/**
 * Seals each second what was written to the audit since. Any number of instances may run: one of
 * them seals. Whoever finds nothing new writes nothing.
 */
@Injectable()
export class AuditSealer implements OnModuleInit, BeforeApplicationShutdown {
  readonly #logger = new Logger('Audit');
  readonly #settled = new SettledRows();
  /** The last seal that was seen. */
  #head: Link | undefined;
  /** What was told to be forged. */
  #refused: string | undefined;
  #toldAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #sealing: Promise<void> = Promise.resolve();
  #stopped = false;
  #failing = false;
  #renewed = false;

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    private readonly keys: SealKeys,
  ) {}

  /** @throws Error where the audit is under a secret that is not set: so are the refresh tokens */
  async onModuleInit(): Promise<void> {
    const last = (await lastSeal(this.db)) ?? (await lastCheckpoint(this.db));
    if (last) this.keys.require('The last seal of the audit is', last.secret_id);
    await this.#orWarn(async () => {
      await this.#renewOnce();
      await this.#last(this.db);
    });
    this.#tell();
    this.#schedule();
  }

  /** Requests still in flight are sealed by the next process. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sealing;
    await this.#orWarn(async () => {
      const until = performance.now() + LAST_SEAL_WITHIN;
      while ((await this.#isAnythingNew()) && performance.now() < until) {
        if (!(await this.#sealBatch())) await sleep(PAUSE);
      }
      await this.#last(this.db);
    });
    this.#tell();
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#sealing = this.#round().finally(() => {
        if (!this.#stopped) this.#schedule();
      });
    }, SEAL_EVERY).unref();
  }

  async #round(): Promise<void> {
    await this.#orWarn(async () => {
      await this.#renewOnce();
      await this.seal();
    });
    if (this.clock.monotonic() - this.#toldAt >= TELL_EVERY) this.#tell();
  }

  async #orWarn(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#failing = false;
    } catch (error) {
      this.#settled.forget();
      if (!this.#failing) this.#logger.warn(`The audit cannot be sealed: ${causeOf(error)}`);
      this.#failing = true;
    }
  }

  /** Seals what is new, unless another process does. */
  async seal(): Promise<void> {
    while (!this.#stopped && (await this.#isAnythingNew()) && (await this.#sealBatch())) {
      await sleep(PAUSE);
    }
  }

  /** Looks without a transaction, and so without the write lock of SQLite. */
  async #isAnythingNew(): Promise<boolean> {
    const last = await this.#last(this.db);
    if (last === undefined) return false;
    const row = await this.db
      .selectFrom('audit')
      .select('id')
      .where('id', '>', last.last_row)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** @returns whether something was sealed, and there may be more */
  #sealBatch(): Promise<boolean> {
    return this.db.transaction().execute(async (trx) => {
      if (!(await becomeOnlySealer(trx))) return false;
      const last = await this.#last(trx);
      if (last === undefined) return false;
      const upTo = await this.#settled.upTo(trx);
      const rows = await readRows(trx, last.last_row, upTo);
      if (rows.length === 0) return false;
      await this.#append(trx, last, rows);
      return true;
    });
  }

  /**
   * What the next seal builds on; undefined where nobody with the secret wrote it. A seal over a
   * forged one would prove it: the chain has no key.
   */
  async #last(executor: Executor): Promise<Link | undefined> {
    const { link, isOurs } = await proveLastLink(executor, this.keys);
    if (isOurs) {
      this.#refused = undefined;
      this.#see(link);
      return link;
    }
    if (this.#refused !== told(link)) {
      this.#logger.error(
        `The audit is no longer sealed: seal ${link.id} is not ours, or is under a secret that is ` +
          'neither KEY_ENCRYPTION_SECRET nor KEY_ENCRYPTION_SECRET_PREVIOUS. `audit verify` tells ' +
          'where it begins; set that secret, or restore the database from a backup.',
      );
    }
    this.#refused = told(link);
    return undefined;
  }

  async #append(trx: Transaction<Schema>, last: Link, rows: readonly AuditRow[]): Promise<void> {
    const digests = new RowDigests();
    for (const row of rows) digests.add(row);
    const seal = makeSeal(last, digests, this.clock.now(), this.keys.current);
    await trx.insertInto('audit_seals').values(seal).execute();
  }

  /**
   * After a new `KEY_ENCRYPTION_SECRET`: a seal and a checkpoint under it prove all that is under
   * the one before, also when that is set no more.
   */
  async #renewOnce(): Promise<void> {
    if (this.#renewed) return;
    const { current } = this.keys;
    await this.db.transaction().execute(async (trx) => {
      await waitToBeOnlySealer(trx);
      const seal = await lastSeal(trx);
      const old = seal && this.#previousKey(seal);
      if (old && isGenuineSeal(seal, old)) await this.#append(trx, seal, []);
      const checkpoint = await lastCheckpoint(trx);
      const oldest = checkpoint && this.#previousKey(checkpoint);
      if (oldest && isGenuineCheckpoint(checkpoint, oldest)) {
        const renewed = makeCheckpoint(checkpoint.id + 1, linkOf(checkpoint), checkpoint, current);
        await trx.insertInto('audit_checkpoints').values(renewed).execute();
      }
    });
    this.#renewed = true;
  }

  /** Undefined where it is under the current one, or under one that nobody knows. */
  #previousKey({ secret_id }: { secret_id: string }): SealKey | undefined {
    return secret_id === this.keys.current.id ? undefined : this.keys.find(secret_id);
  }

  /** Seals only become more: whoever runs on notices at once that some are gone. */
  #see(last: Link): void {
    const head = this.#head;
    if (head && (last.id < head.id || (last.id === head.id && last.mac !== head.mac))) {
      this.#logger.error(
        `The audit was cut: its last seal was ${told(head)}, and now is ${told(last)}`,
      );
    }
    this.#head = last;
  }

  /** For `audit verify --expect`, from where nobody who can write to the database can take it. */
  #tell(): void {
    this.#toldAt = this.clock.monotonic();
    if (this.#head && this.#head.id > 0) {
      this.#logger.log(`The audit is sealed up to ${told(this.#head)}, ${this.#head.total} rows`);
    }
  }
}

const told = ({ id, mac }: Link): string => `${id}:${mac}`;
