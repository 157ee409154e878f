import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit } from '../audit/audit.js';
import { Database, type Executor } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { loginFailed } from '../errors.js';
import { MAX_PASSWORD_LENGTH } from '../passwords/password-policy.js';
import { Passwords } from '../passwords/passwords.js';
import { Sessions } from '../sessions/sessions.js';
import { Throttle, type Ticket } from '../throttle/throttle.js';
import { networkOf } from '../throttle/address.js';
import { type Actor, ANYONE, by } from './actor.js';
import { countFailure } from './login-outcome.js';
import { type UserState, lockUser } from './user-state.js';
import { canonicalUsername } from './username.js';
import { type StoredCredentials, Users } from './users.js';

/** Somebody who proved to be a user; what was read with the hash decides what may follow. */
export interface Proof {
  userId: string;
  passwordVersion: number;
  address: string;
  /** To be given back once what the proof was for has succeeded. */
  ticket: Ticket;
}

/** Who somebody says to be. */
export interface Claim {
  username: string;
  password: string;
  address: string;
  /** Of a session of theirs, where there is one. */
  refreshToken?: string | undefined;
}

/** The one place where a password is compared, for whatever purpose. */
@Injectable()
export class Credentials {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly users: Users,
    private readonly sessions: Sessions,
    private readonly passwords: Passwords,
    private readonly throttle: Throttle,
    private readonly audit: Audit,
  ) {}

  /**
   * Compares a password: counted first, then the same work whether there is such a user or not.
   *
   * @param failure what a wrong one is called in the audit
   * @param actor who is known already by other means, and asks
   * @throws login_failed, alike for a wrong password, an unknown and a disabled user;
   *   too_many_requests; temporarily_unavailable when too many wait
   */
  prove(
    { username, password, address, refreshToken }: Claim,
    failure: 'authn_login_fail' | 'authn_password_change_fail',
    actor: Actor = { id: ANYONE, address },
  ): Promise<Proof> {
    const account = canonicalUsername(username) ?? username;
    const isOwner = (executor: Executor): Promise<boolean> =>
      this.#ownsSession(executor, account, refreshToken);
    const proof = this.throttle.attempt({ account, address, isOwner }, async (ticket) => {
      const stored = await this.users.findCredentials(username);
      const verdict = await this.passwords.verify(
        { address: networkOf(address), purpose: 'login' },
        stored?.passwordHash,
        acceptable(password) ? password : '',
      );
      if (!verdict.matches || stored === undefined || stored.refused || !acceptable(password)) {
        await this.audit.record(this.db, {
          event: failure,
          userId: stored?.userId ?? null,
          ...by(actor),
          ...(actor.sessionId !== undefined && { sessionId: actor.sessionId }),
          // Not the name: people type their passwords there.
          detail: { name: ticket.account ?? '' },
        });
        throw loginFailed();
      }
      if (verdict.rehashed !== undefined) await this.#replaceHash(stored, verdict.rehashed);
      return {
        userId: stored.userId,
        passwordVersion: stored.passwordVersion,
        address,
        ticket,
      };
    });
    return failure === 'authn_login_fail' ? countFailure(proof) : proof;
  }

  /** Does what a proof is for: when it cannot be done now, the attempt is given back. */
  use<T>({ ticket }: Proof, work: () => Promise<T>): Promise<T> {
    return this.throttle.goOn(ticket, work);
  }

  /**
   * Locks the user of a proof, if it still holds: neither gone nor disabled, and the password is
   * the one that was compared. So nothing is overlooked that happened while the proof waited.
   * @returns undefined where it does not hold any more
   */
  async redeem(
    trx: Transaction<Schema>,
    proof: Proof,
    strength: 'share' | 'update',
  ): Promise<UserState | undefined> {
    const user = await lockUser(trx, proof.userId, strength);
    const holds = user?.disabled === false && user.passwordVersion === proof.passwordVersion;
    return holds ? user : undefined;
  }

  /** Gives the attempt back, once what the proof is for has succeeded. */
  async succeed(trx: Transaction<Schema>, { ticket }: Proof): Promise<void> {
    await this.throttle.succeed(trx, ticket);
  }

  /** Whether a refresh token of a live session of this account was sent along. */
  async #ownsSession(executor: Executor, account: string, refreshToken = ''): Promise<boolean> {
    const id = this.sessions.read(refreshToken);
    const session = id && (await this.sessions.find(executor, id.refreshId));
    if (session === undefined || session.counter !== id?.counter) return false;
    if (!this.sessions.isLive(session)) return false;
    const user = await executor
      .selectFrom('users')
      .select('canonical_username')
      .where('id', '=', session.user_id)
      .executeTakeFirst();
    return user?.canonical_username === account;
  }

  /** The same password under better parameters: `password_version` stays. */
  async #replaceHash({ userId, passwordHash }: StoredCredentials, rehashed: string): Promise<void> {
    await this.db
      .updateTable('users')
      .set({ password_hash: rehashed })
      .where('id', '=', userId)
      .where('password_hash', '=', passwordHash)
      .execute();
  }
}

/** What can be the password of anyone; the rest is not hashed, and fails at the same cost. */
function acceptable(password: string): boolean {
  if (!password.isWellFormed()) return false;
  // As it was counted when it was chosen: one keyboard's letter is another's two code points.
  return [...password.normalize('NFC')].length <= MAX_PASSWORD_LENGTH;
}
