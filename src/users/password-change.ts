import { Injectable } from '@nestjs/common';
import { type ApiToken, ApiTokens } from '../api-tokens/api-tokens.js';
import { Audit } from '../audit/audit.js';
import { invalidFields, loginFailed } from '../errors.js';
import { Passwords } from '../passwords/passwords.js';
import { Revocations } from '../revocation/revocations.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { networkOf } from '../throttle/address.js';
import { requireActor } from './actor.js';
import { Credentials, type Proof } from './credentials.js';
import { recordEnded } from './user-api-tokens.js';

/** Whose password is changed, and from where. */
export interface PasswordOwner {
  id: string;
  username: string;
  /** The session that asks, which goes on. */
  sessionId: string;
  address: string;
}

/** Puts a new password in the place of the current one. */
@Injectable()
export class PasswordChange {
  constructor(
    private readonly credentials: Credentials,
    private readonly passwords: Passwords,
    private readonly ending: SessionEnding,
    private readonly apiTokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly audit: Audit,
  ) {}

  /**
   * Changes the password, and ends every other session and its access tokens.
   * @param endApiTokens whether the API tokens end too
   * @returns the API tokens that go on
   * @throws invalid_request for a new password that is not acceptable; login_failed for a wrong
   *   current one; token_revoked when the session ended meanwhile; too_many_requests
   */
  async change(
    owner: PasswordOwner,
    current: string,
    next: string,
    endApiTokens: boolean,
  ): Promise<ApiToken[]> {
    const { username, address } = owner;
    const faults = this.passwords.faults(next, username);
    if (next.normalize('NFC') === current.normalize('NFC'))
      faults.push('new_password must not be the current one');
    if (faults.length > 0) throw invalidFields({ new_password: faults });
    const proof = await this.credentials.prove(
      { username, password: current, address },
      'authn_password_change_fail',
      owner,
    );
    return this.credentials.use(proof, () => this.#replace(owner, proof, next, endApiTokens));
  }

  async #replace(
    owner: PasswordOwner,
    proof: Proof,
    next: string,
    endApiTokens: boolean,
  ): Promise<ApiToken[]> {
    const { id: userId, sessionId, address } = owner;
    const hash = await this.passwords.hash({ address: networkOf(address), purpose: 'login' }, next);
    return this.revocations.transaction(async (trx, revoke) => {
      const user = await this.credentials.redeem(trx, proof, 'update');
      // It waited for two hashes: whoever took this session for stolen has ended it by now.
      await requireActor(trx, owner);
      if (user === undefined) throw loginFailed();
      await this.credentials.succeed(trx, proof);
      const { revocations } = await this.ending.endOthers(trx, userId, sessionId);
      await revoke(revocations);
      if (endApiTokens) {
        const ended = await this.apiTokens.end(trx, userId);
        await revoke(ended);
        await recordEnded(this.audit, trx, ended, userId, owner);
      }
      await trx
        .updateTable('users')
        .set({
          password_hash: hash,
          password_version: user.passwordVersion + 1,
          password_expires_at: null,
        })
        .where('id', '=', userId)
        .execute();
      await this.audit.record(trx, {
        event: 'authn_password_change',
        userId,
        actor: userId,
        address,
        sessionId,
      });
      return this.apiTokens.list(userId, trx);
    });
  }
}
