import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import { invalidFields, LatchkeyError } from '../errors.js';
import { Passwords } from '../passwords/passwords.js';
import { DEFAULT_ROLE, type Role } from '../roles.js';
import { networkOf } from '../throttle/address.js';
import { Throttle } from '../throttle/throttle.js';
import { type Actor, ANYONE, requireActor } from './actor.js';
import { makeOneTimePassword, ONE_TIME_FOR } from './one-time-password.js';
import { canonicalUsername, USERNAME_RULE } from './username.js';
import type { User } from './users.js';

/** Who registers, to the audit. */

interface NewUser {
  username: string;
  password: string;
  roles: readonly Role[];
  /** Epoch milliseconds; for a password that its owner did not choose. */
  passwordExpiresAt?: number;
}

/** How users come to be. */
@Injectable()
export class Registration {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    private readonly passwords: Passwords,
    private readonly throttle: Throttle,
    private readonly audit: Audit,
  ) {}

  /**
   * Registers who asks, with the default role. Counted like a login: it costs a hash, and tells
   * whether a name is taken.
   * @throws what `create` throws; too_many_requests
   */
  register(username: string, password: string, address: string): Promise<User> {
    this.#accept(username, password); // what cannot be is told without being counted
    return this.throttle.attempt({ address }, async (ticket) => {
      const roles = [DEFAULT_ROLE];
      const user = await this.create({ username, password, roles }, { id: ANYONE, address });
      // The user is there: should the attempt not be given back, it is one of three hundred.
      await this.throttle.succeed(this.db, ticket).catch(() => undefined);
      return user;
    });
  }

  /**
   * Creates a user with a password made for them, which must be changed at the first login.
   * @returns the password, which is nowhere else
   */
  async invite(
    username: string,
    roles: readonly Role[],
    actor: Actor,
  ): Promise<{ user: User; password: string }> {
    const password = makeOneTimePassword();
    const passwordExpiresAt = this.clock.now() + ONE_TIME_FOR;
    const user = await this.create({ username, password, roles, passwordExpiresAt }, actor);
    return { user, password };
  }

  /**
   * @throws invalid_request with the fields that are not acceptable; conflict for a name that is
   *   taken
   */
  async create(
    { username, password, roles, passwordExpiresAt }: NewUser,
    actor: Actor,
  ): Promise<User> {
    const canonical = this.#accept(username, password);
    // Before the costly hash; the unique column has the last word.
    if (await this.#isTaken(canonical)) throw usernameTaken();
    const address = actor.address === undefined ? actor.id : networkOf(actor.address);
    const purpose = actor.id === ANYONE ? 'registration' : 'administration';
    const owner = { address, purpose } as const;
    const passwordHash = await this.passwords.hash(owner, password);
    const user: User = {
      id: randomUUID(),
      username,
      roles,
      disabled: false,
      createdAt: this.clock.now(),
    };
    await this.db.transaction().execute(async (trx) => {
      await requireActor(trx, actor, 'admin');
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('users')
        .values({
          id: user.id,
          username,
          canonical_username: canonical,
          password_hash: passwordHash,
          password_version: 1,
          gen: 1,
          roles: roles.join(' '),
          created_at: user.createdAt,
          disabled_at: null,
          password_expires_at: passwordExpiresAt ?? null,
        })
        .onConflict((conflict) => conflict.column('canonical_username').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows !== 1n) throw usernameTaken();
      await this.audit.record(trx, {
        event: 'user_created',
        userId: user.id,
        actor: actor.id,
        ...(actor.address !== undefined && { address: actor.address }),
        detail: { roles },
      });
    });
    return user;
  }

  /** @returns the canonical name */
  #accept(username: string, password: string): string {
    const canonical = canonicalUsername(username);
    const passwordFaults = this.passwords.faults(password, username);
    if (canonical !== undefined && passwordFaults.length === 0) return canonical;
    throw invalidFields({
      ...(canonical === undefined && { username: [USERNAME_RULE] }),
      ...(passwordFaults.length > 0 && { password: passwordFaults }),
    });
  }

  async #isTaken(canonical: string): Promise<boolean> {
    const row = await this.db
      .selectFrom('users')
      .select('id')
      .where('canonical_username', '=', canonical)
      .executeTakeFirst();
    return row !== undefined;
  }
}

const usernameTaken = (): LatchkeyError =>
  new LatchkeyError('conflict', 'username_taken', 'That username is taken');
