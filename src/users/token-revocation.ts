import { Inject, Injectable } from '@nestjs/common';
import { isApiToken } from '../api-tokens/api-token.js';
import { ApiTokenVerification } from '../api-tokens/api-token-verification.js';
import { Database } from '../database/database.js';
import { Sessions } from '../sessions/sessions.js';
import { TokenInspection } from '../tokens/inspection.js';
import { AccessTokenRevocation } from './access-token-revocation.js';
import { UserApiTokens } from './user-api-tokens.js';
import { UserSessions } from './user-sessions.js';

/** Whoever has a token may end it: that it is genuine is the proof. */
@Injectable()
export class TokenRevocation {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly sessions: Sessions,
    private readonly userSessions: UserSessions,
    private readonly inspection: TokenInspection,
    private readonly apiTokens: ApiTokenVerification,
    private readonly userApiTokens: UserApiTokens,
    private readonly accessTokens: AccessTokenRevocation,
  ) {}

  /**
   * Revokes an access token, ends the session of a refresh token of any counter, or ends an API
   * token (RFC 7009 section 2.1). Any other text is none that could be used, and that is all that was wanted.
   */
  async revoke(token: string, address: string): Promise<void> {
    if (isApiToken(token)) return this.#endApiToken(token, address);
    if (this.sessions.read(token) !== undefined) return this.endSession(token, address);
    const claims = this.inspection.genuine(token);
    if (claims !== undefined) await this.accessTokens.revoke(claims, address);
  }

  async #endApiToken(token: string, address: string): Promise<void> {
    const found = await this.apiTokens.inspect(token);
    if (found === undefined) return;
    const { id, tokenId } = found.owner;
    await this.userApiTokens.endIfThere(id, tokenId, { id, address });
  }

  /** Ends the session that a refresh token or an access token belongs to, expired or not. */
  async endSession(token: string, address: string): Promise<void> {
    const session = await this.#sessionOf(token);
    if (session === undefined) return;
    const actor = { id: session.userId, address };
    await this.userSessions.endIfLive(session.userId, session.id, actor);
  }

  async #sessionOf(token: string): Promise<{ id: string; userId: string } | undefined> {
    const id = this.sessions.read(token);
    if (id !== undefined) {
      const row = await this.sessions.find(this.db, id.refreshId);
      return row && { id: row.id, userId: row.user_id };
    }
    const claims = this.inspection.genuine(token);
    return claims && { id: claims.sid, userId: claims.sub };
  }
}
