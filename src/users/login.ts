import { Inject, Injectable } from '@nestjs/common';
import { Database, isPostgres } from '../database/database.js';
import { loginFailed, scopeInvalid } from '../errors.js';
import { MAX_PASSWORD_LENGTH } from '../passwords/password-policy.js';
import { Passwords } from '../passwords/passwords.js';
import { scopesOf } from '../roles.js';
import { Sessions } from '../sessions/sessions.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { type StoredCredentials, Users } from './users.js';

/** Somebody who proved to be a user; what was read with the hash decides when a session opens. */
export interface VerifiedLogin {
  userId: string;
  passwordVersion: number;
}

/** A login that succeeded. */
export interface IssuedToken {
  accessToken: string;
  /** Seconds. */
  expiresIn: number;
  scopes: readonly string[];
}

/** The password login, whatever door it comes through: first the proof, then the session. */
@Injectable()
export class Login {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly users: Users,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly tokens: AccessTokens,
  ) {}

  /**
   * Compares a password, at the same cost whether there is such a user or not.
   * @throws login_failed, alike for a wrong password, an unknown and a disabled user;
   *   temporarily_unavailable when too many logins wait
   */
  async verify(username: string, password: string, address: string): Promise<VerifiedLogin> {
    const stored = await this.users.findCredentials(username);
    const verdict = await this.passwords.verify(
      { address, purpose: 'login' },
      stored?.passwordHash,
      acceptable(password) ? password : '',
    );
    if (!verdict.matches || stored === undefined || stored.disabled || !acceptable(password)) {
      throw loginFailed();
    }
    if (verdict.rehashed !== undefined) await this.#replaceHash(stored, verdict.rehashed);
    return { userId: stored.userId, passwordVersion: stored.passwordVersion };
  }

  /**
   * Opens a session and issues its first access token.
   *
   * @param requested scopes; undefined for all that the user has
   * @throws login_failed when the user was disabled, deleted or given another password while the
   *   login waited; invalid_scope
   */
  async open(login: VerifiedLogin, requested: readonly string[] | undefined): Promise<IssuedToken> {
    const { issuedAt, expiresAt } = this.tokens.lifetime();
    const grant = await this.db.transaction().execute(async (trx) => {
      // The lock comes before the check: whatever ends the user waits for us, or we for it.
      const user = await trx
        .selectFrom('users')
        .select(['id', 'username', 'roles', 'gen', 'password_version', 'disabled_at'])
        .where('id', '=', login.userId)
        .$if(isPostgres(trx), (query) => query.forShare())
        .executeTakeFirst();
      if (
        user === undefined ||
        user.disabled_at !== null ||
        user.password_version !== login.passwordVersion
      ) {
        throw loginFailed();
      }
      const scopes = grantedScopes(user.roles.split(' '), requested);
      const session = await this.sessions.open(trx, user.id, scopes, { issuedAt, expiresAt });
      return { user, session, issuedAt, expiresAt };
    });
    return {
      accessToken: this.tokens.issue(grant),
      expiresIn: expiresAt - issuedAt,
      scopes: grant.session.scopes,
    };
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
  return password.isWellFormed() && [...password].length <= MAX_PASSWORD_LENGTH;
}

function grantedScopes(
  roles: readonly string[],
  requested: readonly string[] | undefined,
): readonly string[] {
  const held: readonly string[] = scopesOf(roles);
  if (requested === undefined) return held;
  if (!requested.every((scope) => held.includes(scope))) throw scopeInvalid();
  return held.filter((scope) => requested.includes(scope));
}
