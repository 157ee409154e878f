import { Inject, Injectable } from '@nestjs/common';
import { isApiToken } from '../api-tokens/api-token.js';
import { ApiTokenVerification } from '../api-tokens/api-token-verification.js';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { scopesIn, stillHeld } from '../roles.js';
import { Sessions } from '../sessions/sessions.js';
import { type AccessTokenClaims, CLIENT_ID } from '../tokens/claims.js';
import { TokenInspection } from '../tokens/inspection.js';
import { Users } from './users.js';

/** What may be told of an active token (RFC 7662 section 2.2). */
export type Introspected = Partial<Omit<AccessTokenClaims, 'gen'>> & {
  sub: string;
  token_type?: 'bearer';
};

/** Says what a token is worth now. Looking at one never counts as a use of it. */
@Injectable()
export class Introspection {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Config) private readonly config: Config,
    private readonly inspection: TokenInspection,
    private readonly apiTokens: ApiTokenVerification,
    private readonly sessions: Sessions,
    private readonly users: Users,
  ) {}

  /**
   * @returns undefined for a token that is unknown, expired or revoked
   * @throws temporarily_unavailable
   */
  async introspect(token: string): Promise<Introspected | undefined> {
    if (isApiToken(token)) return this.#apiToken(token);
    const claims = this.inspection.active(token);
    if (claims === undefined) return this.#refreshToken(token);
    const { gen: _, ...shown } = claims;
    return { ...shown, token_type: 'bearer' };
  }

  async #apiToken(token: string): Promise<Introspected | undefined> {
    const found = await this.apiTokens.inspect(token);
    if (found === undefined) return undefined;
    const { owner, expiresAt } = found;
    return {
      iss: this.config.issuer,
      sub: owner.id,
      username: owner.username,
      client_id: CLIENT_ID,
      scope: owner.scopes.join(' '),
      token_type: 'bearer',
      ...(expiresAt !== undefined && { exp: Math.floor(expiresAt / 1000) }),
    };
  }

  async #refreshToken(token: string): Promise<Introspected | undefined> {
    const id = this.sessions.read(token);
    const session = id && (await this.sessions.find(this.db, id.refreshId));
    if (session?.counter !== id?.counter || session === undefined) return undefined;
    const user = this.sessions.isLive(session)
      ? await this.users.findById(session.user_id)
      : undefined;
    if (user === undefined || user.disabled) return undefined;
    return {
      iss: this.config.issuer,
      sub: user.id,
      username: user.username,
      client_id: CLIENT_ID,
      scope: stillHeld(scopesIn(session.scopes), user.roles).join(' '),
      sid: session.id,
      auth_time: session.auth_time / 1000,
      exp: Math.floor(session.idle_expires_at / 1000),
    };
  }
}
