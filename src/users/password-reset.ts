import { Inject, Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { userUnknown } from '../errors.js';
import { Passwords } from '../passwords/passwords.js';
import { Revocations } from '../revocation/revocations.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { type Actor, by } from './actor.js';
import { makeOneTimePassword, ONE_TIME_FOR } from './one-time-password.js';
import { lockUser } from './user-state.js';

/** The way back for who forgot a password, or let an invitation expire. The id stays. */
@Injectable()
export class PasswordReset {
  constructor(
    @Inject(Clock) private readonly clock: Clock,
    private readonly passwords: Passwords,
    private readonly ending: SessionEnding,
    private readonly revocations: Revocations,
    private readonly audit: Audit,
  ) {}

  /**
   * Puts a password that was made for the user in the place of the one they had, and ends every
   * session and its access tokens. API tokens go on, as after a change of the password.
   * @returns the password, which is nowhere else
   * @throws not_found
   */
  async reset(userId: string, actor: Actor): Promise<string> {
    const password = makeOneTimePassword();
    const owner = { address: actor.address ?? actor.id, purpose: 'administration' } as const;
    const hash = await this.passwords.hash(owner, password);
    await this.revocations.transaction(async (trx, revoke) => {
      const user = await lockUser(trx, userId, 'update');
      if (user === undefined) throw userUnknown();
      const { revocations } = await this.ending.endOthers(trx, userId);
      await revoke(revocations);
      await trx
        .updateTable('users')
        .set({
          password_hash: hash,
          password_version: user.passwordVersion + 1,
          password_expires_at: this.clock.now() + ONE_TIME_FOR,
        })
        .where('id', '=', userId)
        .execute();
      await this.audit.record(trx, { event: 'authn_password_reset', userId, ...by(actor) });
    });
    return password;
  }
}
