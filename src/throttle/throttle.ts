import { createHmac, type KeyObject } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { Database, type Executor } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { unflushed } from '../database/unflushed.js';
import { LatchkeyError, malformed, tooManyRequests } from '../errors.js';
import { RootSecrets } from '../keys/root-secrets.js';
import { networkOf } from './address.js';
import { type Keys, type Kind, remember, statements } from './statements.js';

/** Milliseconds: a count begins anew after it, so that nobody is shut out for longer. */
const WINDOW = 15 * 60_000;
const LIMITS: Record<Kind, number> = { pair: 30, address: 300, account: 100 };
/** Milliseconds: an address from which a user has logged in is known for so long. */
const KNOWN_FOR = 90 * 86_400_000;
const KNOWN_PER_USER = 20;
/** Milliseconds: one that was seen less long ago is not written again. */
const SEEN_RECENTLY = 86_400_000;
const PRUNE_EVERY = 60_000;
const SETTLE_EVERY = 1_000;
/** Attempts. */
const MOST_OWED = 10_000;

/** Who tries. */
export interface Attempt {
  /** The canonical name that is tried, whether there is such a user or not; none to register. */
  account?: string;
  /** Undefined where the client has gone meanwhile: Fastify has none of it any more. */
  address: string | undefined;
  /** Whether it is the owner who tries, asked where only the account's own count is used up. */
  isOwner?: (executor: Executor) => Promise<boolean>;
}

/** An attempt that was counted, and can be taken back. */
export interface Ticket {
  account: string | undefined;
  address: string;
  keys: Keys;
}

/**
 * Slows guessing, and locks nobody out. Every path that checks a credential or costs a hash goes
 * through `attempt`: it is counted before the work, in the database, so that many at once, many
 * instances and a restart change nothing.
 */
@Injectable()
export class Throttle implements OnModuleInit, OnApplicationShutdown {
  readonly #key: KeyObject;
  /** What could not be given back, since the database failed for that, too. */
  readonly #owed: { keys: Keys; endsAt: number }[] = [];
  #settling = false;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    secrets: RootSecrets,
    private readonly audit: Audit,
  ) {
    this.#key = secrets.current.key('throttle names');
  }

  onModuleInit(): void {
    const regularly = (work: () => Promise<void>, every: number): void => {
      this.#timers.push(setInterval(() => void work().catch(() => undefined), every).unref());
    };
    regularly(() => this.#prune(), PRUNE_EVERY);
    regularly(() => this.#settle(), SETTLE_EVERY);
  }

  onApplicationShutdown(): void {
    this.#timers.forEach(clearInterval);
  }

  /**
   * Does what costs a hash, or refuses. What succeeds calls `succeed` with the ticket.
   * @throws too_many_requests with the whole seconds until the window ends
   */
  async attempt<T>(who: Attempt, work: (ticket: Ticket) => Promise<T>): Promise<T> {
    const ticket = await this.#admit(who);
    return this.goOn(ticket, () => work(ticket));
  }

  /**
   * Does what an attempt was admitted for. What cannot be done now was none: whoever asked learned
   * nothing, and tries again.
   */
  async goOn<T>({ keys }: Ticket, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof LatchkeyError && error.error === 'temporarily_unavailable') {
        await this.#refund(keys).catch(() => this.#owe(keys));
      }
      throw error;
    }
  }

  /**
   * After a success, in its transaction: the address gets its attempt back, the account and the
   * pair begin anew, and the address is known to the account from now on.
   */
  async succeed(executor: Executor, { account, address, keys }: Ticket): Promise<void> {
    await statements(keys).giveBack(executor, { ...keys, now: this.clock.now() });
    if (account !== undefined) await this.#remember(executor, account, address);
  }

  /** A keyed hash, so that what is stored and logged tells neither names nor addresses. */
  #hash(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  async #admit(who: Attempt): Promise<Ticket> {
    if (who.address === undefined) throw malformed('The client has gone');
    const address = this.#hash(networkOf(who.address));
    const account = who.account === undefined ? undefined : this.#hash(who.account);
    const keys = {
      address: `address:${address}`,
      ...(account !== undefined && {
        account: `account:${account}`,
        pair: `pair:${account}:${address}`,
      }),
    };
    const ticket: Ticket = { account, address, keys };
    // A refusal rolls the counting back: whoever is refused uses up nobody's attempts.
    await unflushed(this.db, async (trx) => {
      const counts = await this.#count(trx, keys);
      const exceeded = counts.filter(({ kind, count }) => count > LIMITS[kind]);
      if (exceeded.length > 0 && !(await this.#excused(trx, who, ticket, exceeded))) {
        const wait = Math.max(...exceeded.map(({ endsAt }) => endsAt)) - this.clock.now();
        throw tooManyRequests(Math.max(1, Math.ceil(wait / 1000)));
      }
      for (const { kind, count } of counts) {
        if (count === LIMITS[kind]) await this.#recordLast(trx, who, kind);
      }
    });
    return ticket;
  }

  async #count(
    trx: Transaction<Schema>,
    keys: Keys,
  ): Promise<{ kind: Kind; count: number; endsAt: number }[]> {
    const now = this.clock.now();
    const rows = await statements(keys).count(trx, { ...keys, now, endsAt: now + WINDOW });
    return rows.map((row) => ({
      kind: row.key.slice(0, row.key.indexOf(':')) as Kind,
      count: row.count,
      endsAt: row.ends_at,
    }));
  }

  /** A flood on the account does not shut its owner out, who is known by address or by proof. */
  async #excused(
    trx: Transaction<Schema>,
    { isOwner }: Attempt,
    { account, address }: Ticket,
    exceeded: readonly { kind: Kind }[],
  ): Promise<boolean> {
    if (account === undefined || exceeded.some(({ kind }) => kind !== 'account')) return false;
    const row = await trx
      .selectFrom('known_addresses')
      .select('seen_at')
      .where('account', '=', account)
      .where('address', '=', address)
      .where('seen_at', '>', this.clock.now() - KNOWN_FOR)
      .executeTakeFirst();
    return row !== undefined || (await isOwner?.(trx)) === true;
  }

  /** Once a window: when the last attempt is admitted. */
  #recordLast(trx: Transaction<Schema>, { address, account }: Attempt, kind: Kind): Promise<void> {
    return this.audit.record(trx, {
      event: 'authn_login_fail_max',
      userId: null,
      actor: 'anyone',
      address,
      detail: { limit: kind, ...(account !== undefined && { name: this.#hash(account) }) },
    });
  }

  /** @param endsAt of a window that was opened before it, and is not the next one already */
  async #refund(keys: Keys, endsAt?: number): Promise<void> {
    const now = this.clock.now();
    await statements(keys).refund(this.db, { ...keys, now, endsAt: endsAt ?? now + WINDOW });
  }

  #owe(keys: Keys): void {
    if (this.#owed.length >= MOST_OWED) return;
    this.#owed.push({ keys, endsAt: this.clock.now() + WINDOW });
  }

  /** Gives back what is owed once the database is there again, and in its window only. */
  async #settle(): Promise<void> {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (let owed = this.#owed[0]; owed !== undefined; owed = this.#owed[0]) {
        if (owed.endsAt > this.clock.now()) await this.#refund(owed.keys, owed.endsAt);
        this.#owed.shift();
      }
    } finally {
      this.#settling = false;
    }
  }

  async #remember(executor: Executor, account: string, address: string): Promise<void> {
    const seenAt = this.clock.now();
    const seenRecently = seenAt - SEEN_RECENTLY;
    const written = await remember(executor, { account, address, seenAt, seenRecently });
    if (written.length === 0) return;
    await executor
      .deleteFrom('known_addresses')
      .where('account', '=', account)
      .where('address', 'not in', (latest) =>
        latest
          .selectFrom('known_addresses')
          .select('address')
          .where('account', '=', account)
          .orderBy('seen_at', 'desc')
          .limit(KNOWN_PER_USER),
      )
      .execute();
  }

  async #prune(): Promise<void> {
    const now = this.clock.now();
    await this.db.deleteFrom('attempts').where('ends_at', '<=', now).execute();
    await this.db
      .deleteFrom('known_addresses')
      .where('seen_at', '<=', now - KNOWN_FOR)
      .execute();
  }
}
