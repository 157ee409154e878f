import { Injectable } from '@nestjs/common';
import { type ApiToken, ApiTokens } from '../api-tokens/api-tokens.js';
import { Audit } from '../audit/audit.js';
import type { Executor } from '../database/database.js';
import { apiTokenUnknown, scopeInvalid, tokenRevoked } from '../errors.js';
import type { Revocation } from '../revocation/revocation.js';
import { Revocations } from '../revocation/revocations.js';
import { type Actor, by, requireActor } from './actor.js';
import { lockUser } from './user-state.js';

/** What somebody asks for. */
export interface ApiTokenRequest {
  name: string;
  /** Undefined for all that the caller has. */
  scopes: readonly string[] | undefined;
  /** Seconds; undefined for one that does not expire. */
  expiresIn: number | undefined;
}

/** Makes and ends API tokens of a user: refused at once here, within a poll everywhere. */
@Injectable()
export class UserApiTokens {
  constructor(
    private readonly apiTokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly audit: Audit,
  ) {}

  /**
   * @param held the scopes of the caller: none can be had that the caller has not
   * @throws invalid_scope; token_revoked when the user was disabled or deleted this very moment
   */
  create(
    userId: string,
    held: readonly string[],
    { name, scopes = held, expiresIn }: ApiTokenRequest,
    actor: Actor,
  ): Promise<{ token: string; created: ApiToken }> {
    if (!scopes.every((scope) => held.includes(scope))) throw scopeInvalid();
    return this.revocations.transaction(async (trx) => {
      // For update, so that of many at once each counts the ones before.
      const user = await lockUser(trx, userId, 'update');
      if (user === undefined || user.disabled) throw tokenRevoked();
      await requireActor(trx, actor);
      const made = await this.apiTokens.create(trx, userId, { name, scopes, expiresIn });
      await this.audit.record(trx, {
        event: 'api_token_created',
        userId,
        ...by(actor),
        detail: { api_token: made.created.id, scopes },
      });
      return made;
    });
  }

  /** @throws not_found where the user has no such token */
  async end(userId: string, id: string, actor: Actor): Promise<void> {
    if (!(await this.endIfThere(userId, id, actor))) throw apiTokenUnknown();
  }

  /** @returns whether there was such a token */
  async endIfThere(userId: string, id: string, actor: Actor): Promise<boolean> {
    return (await this.#end(userId, actor, id)) > 0;
  }

  async endAll(userId: string, actor: Actor): Promise<void> {
    await this.#end(userId, actor);
  }

  #end(userId: string, actor: Actor, id?: string): Promise<number> {
    return this.revocations.transaction(async (trx, revoke) => {
      await lockUser(trx, userId, 'update');
      const ended = await this.apiTokens.end(trx, userId, id);
      await revoke(ended);
      await recordEnded(this.audit, trx, ended, userId, actor);
      return ended.length;
    });
  }
}

/** One entry for each API token, whatever it was that ended it. */
export async function recordEnded(
  audit: Audit,
  trx: Executor,
  ended: readonly Revocation[],
  userId: string,
  actor: Actor,
): Promise<void> {
  for (const { subject } of ended) {
    await audit.record(trx, {
      event: 'api_token_ended',
      userId,
      ...by(actor),
      detail: { api_token: subject },
    });
  }
}
