import { Inject, Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import { Database } from '../database/database.js';
import { scopeInvalid } from '../errors.js';
import { logins } from '../metrics/metrics.js';
import { PASSWORD_CHANGE, scopesOf } from '../roles.js';
import { Sessions } from '../sessions/sessions.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { Credentials, type Proof } from './credentials.js';

/** A login that succeeded. */
export interface IssuedToken {
  accessToken: string;
  /** Seconds. */
  expiresIn: number;
  scopes: readonly string[];
}

/** Turns a proof into a session and its first access token, whatever door it came through. */
@Injectable()
export class Login {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly sessions: Sessions,
    private readonly tokens: AccessTokens,
    private readonly credentials: Credentials,
    private readonly audit: Audit,
  ) {}

  /**
   * @param requested scopes; undefined for all that the user has
   * @throws login_failed when the user was disabled, deleted or given another password since the
   *   proof; invalid_scope, judged only now so that it tells nothing to who has no password
   */
  async open(proof: Proof, requested: readonly string[] | undefined): Promise<IssuedToken> {
    const lifetime = this.tokens.lifetime();
    const grant = await this.db.transaction().execute(async (trx) => {
      const user = await this.credentials.redeem(trx, proof, 'share');
      const scopes = user.mustChangePassword
        ? [PASSWORD_CHANGE]
        : grantedScopes(user.roles, requested);
      if (scopes === undefined) return undefined;
      const session = await this.sessions.open(trx, user.id, scopes, lifetime);
      await this.audit.record(trx, {
        event: 'authn_login_success',
        userId: user.id,
        actor: user.id,
        address: proof.address,
        sessionId: session.id,
      });
      return { user, session, ...lifetime };
    });
    logins.inc({ outcome: 'success' });
    if (grant === undefined) throw scopeInvalid();
    return {
      accessToken: this.tokens.issue(grant),
      expiresIn: lifetime.expiresAt - lifetime.issuedAt,
      scopes: grant.session.scopes,
    };
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
