import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { invalidFields, LatchkeyError } from '../errors.js';
import { passwordFaults } from '../passwords/password-policy.js';
import { Passwords } from '../passwords/passwords.js';
import { DEFAULT_ROLE } from '../roles.js';
import { canonicalUsername } from './username.js';

/** A user as other modules see one. */
export interface User {
  id: string;
  /** As its owner wrote it. */
  username: string;
  roles: readonly string[];
  /** Epoch milliseconds. */
  createdAt: number;
}

/** What a login compares with. */
export interface StoredCredentials {
  userId: string;
  passwordHash: string;
  passwordVersion: number;
  disabled: boolean;
}

/** The user lookup, and registration. */
@Injectable()
export class Users {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly passwords: Passwords,
  ) {}

  async findById(id: string): Promise<User | undefined> {
    const row = await this.db
      .selectFrom('users')
      .select(['id', 'username', 'roles', 'created_at'])
      .where('id', '=', id)
      .executeTakeFirst();
    return (
      row && {
        id: row.id,
        username: row.username,
        roles: row.roles.split(' '),
        createdAt: row.created_at,
      }
    );
  }

  /** @param username as somebody typed it */
  async findCredentials(username: string): Promise<StoredCredentials | undefined> {
    const row = await this.db
      .selectFrom('users')
      .select(['id', 'password_hash', 'password_version', 'disabled_at'])
      // No stored name is empty, so that a name that cannot be costs the same look-up.
      .where('canonical_username', '=', canonicalUsername(username) ?? '')
      .executeTakeFirst();
    return (
      row && {
        userId: row.id,
        passwordHash: row.password_hash,
        passwordVersion: row.password_version,
        disabled: row.disabled_at !== null,
      }
    );
  }

  /**
   * Creates a user with the default role.
   *
   * @param address of who asks, for a fair share of the hashing
   * @throws access_denied while registration is closed, invalid_request with the fields that are
   *   not acceptable, conflict for a name that is taken
   */
  async register(username: string, password: string, address: string): Promise<User> {
    if (!this.config.registrationOpen) {
      throw new LatchkeyError('access_denied', 'registration_closed', 'Registration is closed');
    }
    const canonical = this.#accept(username, password);
    // Before the costly hash; the unique column has the last word.
    if (await this.#isTaken(canonical)) throw usernameTaken();
    const passwordHash = await this.passwords.hash({ address, purpose: 'registration' }, password);
    const user: User = {
      id: randomUUID(),
      username,
      roles: [DEFAULT_ROLE],
      createdAt: this.clock.now(),
    };
    const { numInsertedOrUpdatedRows } = await this.db
      .insertInto('users')
      .values({
        id: user.id,
        username,
        canonical_username: canonical,
        password_hash: passwordHash,
        password_version: 1,
        gen: 1,
        roles: user.roles.join(' '),
        created_at: user.createdAt,
        disabled_at: null,
      })
      .onConflict((conflict) => conflict.column('canonical_username').doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows !== 1n) throw usernameTaken();
    return user;
  }

  #accept(username: string, password: string): string {
    const canonical = canonicalUsername(username);
    const faults = {
      ...(canonical === undefined && { username: [USERNAME_RULE] }),
      ...listed('password', passwordFaults(password, username, this.config.passwordMinLength)),
    };
    if (canonical === undefined || Object.keys(faults).length > 0) throw invalidFields(faults);
    return canonical;
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

const USERNAME_RULE =
  'username must be 1 to 64 letters, digits or . _ @ + - without spaces, in one alphabet';

const usernameTaken = (): LatchkeyError =>
  new LatchkeyError('conflict', 'username_taken', 'That username is taken');

function listed(field: string, faults: string[]): Record<string, string[]> {
  return faults.length > 0 ? { [field]: faults } : {};
}
