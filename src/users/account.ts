import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit, type AuditEvent } from '../audit/audit.js';
import { Clock } from '../clock.js';
import type { Schema, UsersTable } from '../database/schema.js';
import { userUnknown } from '../errors.js';
import { Revocations } from '../revocation/revocations.js';
import type { Role } from '../roles.js';
import { Sessions } from '../sessions/sessions.js';
import { type LockedUser, lockUser } from './user-lock.js';

/** Who does something to an account, for the audit. */
export interface Actor {
  /** A user's id, or `cli`. */
  id: string;
  address?: string;
}

/**
 * What changes an account's rights. Each raises the user's `gen` and revokes what is below it, so
 * that the access tokens of before are refused: at once here, within a poll everywhere.
 */
@Injectable()
export class Account {
  constructor(
    @Inject(Clock) private readonly clock: Clock,
    private readonly sessions: Sessions,
    private readonly revocations: Revocations,
    private readonly audit: Audit,
  ) {}

  /** Deletes the user and the sessions. @throws not_found */
  async delete(userId: string, actor: Actor): Promise<void> {
    await this.#change(userId, actor, 'user_deleted', async (trx) => {
      await trx.deleteFrom('users').where('id', '=', userId).execute();
    });
  }

  /** Ends the sessions and lets nobody log in. Doing it twice changes nothing. @throws not_found */
  async disable(userId: string, actor: Actor): Promise<void> {
    await this.#change(userId, actor, 'user_disabled', async (trx, { gen, disabled }) => {
      if (disabled) return UNCHANGED;
      await this.sessions.endAll(trx, userId);
      return update(trx, userId, { gen: gen + 1, disabled_at: this.clock.now() });
    });
  }

  /** Lets the user log in again. What was ended stays ended. @throws not_found */
  async enable(userId: string, actor: Actor): Promise<void> {
    await this.#change(userId, actor, 'user_enabled', async (trx, { gen, disabled }) =>
      disabled ? update(trx, userId, { gen: gen + 1, disabled_at: null }) : UNCHANGED,
    );
  }

  /** Gives exactly these roles; the tokens of before, with the rights of before, are refused. */
  async setRoles(userId: string, roles: readonly Role[], actor: Actor): Promise<void> {
    await this.#change(
      userId,
      actor,
      'authz_change',
      (trx, { gen }) => update(trx, userId, { gen: gen + 1, roles: roles.join(' ') }),
      { roles },
    );
  }

  /** The user's row is locked first, then the sessions, then revocations are written. */
  async #change(
    userId: string,
    actor: Actor,
    event: AuditEvent,
    write: (trx: Transaction<Schema>, user: LockedUser) => Promise<typeof UNCHANGED | void>,
    detail?: Record<string, readonly string[]>,
  ): Promise<void> {
    await this.revocations.transaction(async (trx, revoke) => {
      const user = await lockUser(trx, userId, 'update');
      if (user === undefined) throw userUnknown();
      // Asked before the sessions may be gone.
      const revocations = await this.sessions.revocationsOfUser(trx, userId, user.gen + 1);
      if ((await write(trx, user)) === UNCHANGED) return;
      await revoke(revocations);
      await this.audit.record(trx, { event, userId, ...by(actor), ...(detail && { detail }) });
    });
  }
}

/** It was so already: nothing is revoked and nothing is told. */
const UNCHANGED = Symbol('unchanged');

function by({ id, address }: Actor): { actor: string; address?: string } {
  return { actor: id, ...(address !== undefined && { address }) };
}

async function update(
  trx: Transaction<Schema>,
  userId: string,
  change: Partial<UsersTable>,
): Promise<void> {
  await trx.updateTable('users').set(change).where('id', '=', userId).execute();
}
