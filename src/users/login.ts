import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit } from '../audit/audit.js';
import { Config } from '../config/config.js';
import { LatchkeyError, loginFailed, scopeInvalid, targetNeedsPasswordChange } from '../errors.js';
import type { Schema } from '../database/schema.js';
import { logins } from '../metrics/metrics.js';
import { Revocations } from '../revocation/revocations.js';
import { PASSWORD_CHANGE, scopesOf } from '../roles.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { Sessions } from '../sessions/sessions.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { ANYONE } from './actor.js';
import { Credentials, type Proof } from './credentials.js';
import { type IssuedTokens, toIssued } from './issued-tokens.js';
import { countFailure } from './login-outcome.js';
import { recordSessionsEnded } from './user-sessions.js';

/** What is asked for with a login. */
export interface LoginRequest {
  /** Undefined for all that the user has. */
  scopes: readonly string[] | undefined;
  /** For whom the access token is meant: this service, or one of `AUDIENCES`. */
  audience: string;
  userAgent: string | undefined;
}

/** Turns a proof into a session and its first tokens, whatever door it came through. */
@Injectable()
export class Login {
  constructor(
    @Inject(Config) private readonly config: Config,
    private readonly revocations: Revocations,
    private readonly sessions: Sessions,
    private readonly ending: SessionEnding,
    private readonly tokens: AccessTokens,
    private readonly credentials: Credentials,
    private readonly audit: Audit,
  ) {}

  /**
   * @throws login_failed when the user was disabled, deleted or given another password since the
   *   proof; invalid_scope and invalid_target, judged only now so that they tell nothing to who has
   *   no password
   */
  async open(proof: Proof, request: LoginRequest): Promise<IssuedTokens> {
    const opening = this.credentials.use(proof, () => this.#open(proof, request));
    const issued = await countFailure(opening);
    logins.inc({ outcome: 'success' });
    return issued;
  }

  async #open(proof: Proof, request: LoginRequest): Promise<IssuedTokens> {
    const lifetime = this.tokens.lifetime();
    const grant = await this.revocations.transaction(async (trx, revoke) => {
      const user = await this.credentials.redeem(trx, proof, 'share');
      if (user === undefined) {
        await this.#recordFailure(trx, proof, 'changed_meanwhile');
        return loginFailed();
      }
      if (user.mustChangePassword && request.audience !== this.config.issuer) {
        await this.#recordFailure(trx, proof, 'audience');
        return targetNeedsPasswordChange();
      }
      const scopes = user.mustChangePassword
        ? [PASSWORD_CHANGE]
        : grantedScopes(user.roles, request.scopes);
      if (scopes === undefined) {
        // The password was right, and whoever tries them must not learn that unseen.
        await this.#recordFailure(trx, proof, 'scope');
        return scopeInvalid();
      }
      await this.credentials.succeed(trx, proof);
      const session = await this.sessions.open(trx, {
        userId: user.id,
        scopes,
        lifetime,
        client: { address: proof.address, userAgent: request.userAgent },
        refreshable: !user.mustChangePassword,
      });
      const oldest = await this.ending.endOldest(trx, user.id, session.id);
      await revoke(oldest.revocations);
      const { address } = proof;
      await recordSessionsEnded(this.audit, trx, oldest.sessions, user.id, {
        id: user.id,
        address,
      });
      await this.audit.record(trx, {
        event: 'authn_login_success',
        userId: user.id,
        actor: user.id,
        address,
        sessionId: session.id,
      });
      return { user, session, scopes, audience: request.audience, ...lifetime };
    });
    if (grant instanceof LatchkeyError) throw grant;
    return toIssued(grant, this.tokens.issue(grant));
  }

  #recordFailure(trx: Transaction<Schema>, proof: Proof, cause: string): Promise<void> {
    return this.audit.record(trx, {
      event: 'authn_login_fail',
      userId: proof.userId,
      actor: ANYONE,
      address: proof.address,
      detail: { cause },
    });
  }
}

/** Undefined where more was asked for than the roles hold. */
function grantedScopes(
  roles: readonly string[],
  requested: readonly string[] | undefined,
): readonly string[] | undefined {
  const held: readonly string[] = scopesOf(roles);
  if (requested === undefined) return held;
  if (!requested.every((scope) => held.includes(scope))) return undefined;
  return held.filter((scope) => requested.includes(scope));
}
