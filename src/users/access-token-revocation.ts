import { Inject, Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { isPostgres } from '../database/database.js';
import { revocationExpiry } from '../revocation/revocation.js';
import { Revocations } from '../revocation/revocations.js';
import { SessionEnding } from '../sessions/session-ending.js';
import type { AccessTokenClaims } from '../tokens/claims.js';

/** So many revoked tokens of one session are its end: memory is bounded by sessions. */
const MOST_OF_ONE_SESSION = 20;

/** Revokes one access token; its session goes on. */
@Injectable()
export class AccessTokenRevocation {
  constructor(
    @Inject(Clock) private readonly clock: Clock,
    private readonly revocations: Revocations,
    private readonly ending: SessionEnding,
    private readonly audit: Audit,
  ) {}

  /** @param claims of a genuine token; one that is over is left as it is */
  async revoke(claims: AccessTokenClaims, address: string): Promise<void> {
    const { jti, sid, sub, exp } = claims;
    const expiresAt = revocationExpiry(exp * 1000);
    if (expiresAt <= this.clock.now() || this.revocations.isRevoked(claims)) return;
    await this.revocations.transaction(async (trx, revoke) => {
      // Locked, so that of many at once each counts the ones before.
      const session = await trx
        .selectFrom('sessions')
        .select('id')
        .where('id', '=', sid)
        .where('user_id', '=', sub)
        .$if(isPostgres(trx), (query) => query.forUpdate())
        .executeTakeFirst();
      if (session === undefined) return; // with its user: every token of it is revoked
      const revoked = await trx
        .selectFrom('revocations')
        .select('subject')
        .where('kind', '=', 'jti')
        .where('sid', '=', sid)
        .execute();
      if (revoked.some(({ subject }) => subject === jti)) return;
      await revoke(
        revoked.length < MOST_OF_ONE_SESSION
          ? [{ kind: 'jti', subject: jti, sid, expiresAt }]
          : ((await this.ending.end(trx, sub, sid)) ?? []),
      );
      await this.audit.record(trx, {
        event: 'authn_token_revoked',
        userId: sub,
        actor: sub,
        address,
        sessionId: sid,
      });
    });
  }
}
