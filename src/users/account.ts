import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { ApiTokens } from '../api-tokens/api-tokens.js';
import { Audit, type AuditEvent } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { lockAdministrators } from '../database/lock.js';
import type { Schema } from '../database/schema.js';
import { conflict, userUnknown } from '../errors.js';
import type { Revocation } from '../revocation/revocation.js';
import { Revocations } from '../revocation/revocations.js';
import { DEFAULT_ROLE, type Role, type Scope, scopesOf } from '../roles.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { type Actor, by, requireActor } from './actor.js';
import { recordEnded } from './user-api-tokens.js';
import { type UserState, lockUser } from './user-state.js';

/**
 * What changes an account's rights. Each raises the user's `gen` and revokes what is below it, so
 * that the access tokens of before are refused: at once here, within a poll everywhere.
 */
@Injectable()
export class Account {
  constructor(
    @Inject(Clock) private readonly clock: Clock,
    private readonly ending: SessionEnding,
    private readonly apiTokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly audit: Audit,
  ) {}

  /** Deletes the user and the sessions. @throws not_found; conflict for the last administrator */
  async delete(userId: string, actor: Actor): Promise<void> {
    // Everybody may delete their own account, and nobody change what it may do.
    const scope = actor.id === userId ? undefined : 'admin';
    await this.#locked(userId, actor, scope, async (trx, user) => {
      await this.#keepAdministrator(trx, user, [], actor);
      const revocations = await this.#revocationsOf(trx, user);
      const ended = await this.apiTokens.end(trx, userId);
      await recordEnded(this.audit, trx, ended, userId, actor);
      await trx.deleteFrom('users').where('id', '=', userId).execute();
      await this.audit.record(trx, { event: 'user_deleted', userId, ...by(actor) });
      return [...revocations, ...ended];
    });
  }

  /** Ends the sessions and lets nobody log in. Doing it twice changes nothing. @throws not_found */
  disable(userId: string, actor: Actor): Promise<void> {
    return this.change(userId, { disabled: true }, actor);
  }

  /** Lets the user log in again. What was ended stays ended. @throws not_found */
  enable(userId: string, actor: Actor): Promise<void> {
    return this.change(userId, { disabled: false }, actor);
  }

  /** Gives exactly these roles; the tokens of before, with the rights of before, are refused. */
  setRoles(userId: string, roles: readonly Role[], actor: Actor): Promise<void> {
    return this.change(userId, { roles }, actor);
  }

  /**
   * Changes all that is asked for, or nothing.
   * @throws not_found; conflict for the last administrator
   */
  async change(userId: string, { disabled, roles }: AccountChange, actor: Actor): Promise<void> {
    await this.#locked(userId, actor, 'admin', async (trx, user) => {
      const changesState = disabled !== undefined && disabled !== user.disabled;
      if (!changesState && roles === undefined) return [];
      await this.#keepAdministrator(trx, user, disabled ? [] : (roles ?? user.roles), actor);
      // Asked before the sessions may be gone.
      const revocations = await this.#revocationsOf(trx, user);
      if (changesState && disabled) await this.ending.endOthers(trx, userId);
      await trx
        .updateTable('users')
        .set({
          gen: user.gen + 1,
          ...(changesState && { disabled_at: disabled ? this.clock.now() : null }),
          ...(roles && { roles: roles.join(' ') }),
        })
        .where('id', '=', userId)
        .execute();
      const record = (event: AuditEvent, detail?: { roles: readonly string[] }): Promise<void> =>
        this.audit.record(trx, { event, userId, ...by(actor), ...(detail && { detail }) });
      if (changesState) await record(disabled ? 'user_disabled' : 'user_enabled');
      if (roles !== undefined) await record('authz_change', { roles });
      return revocations;
    });
  }

  /**
   * The user's row is locked first, then the sessions, then revocations are written.
   * @param scope what the actor still has to have
   */
  async #locked(
    userId: string,
    actor: Actor,
    scope: Scope | undefined,
    write: (trx: Transaction<Schema>, user: UserState) => Promise<Revocation[]>,
  ): Promise<void> {
    await this.revocations.transaction(async (trx, revoke) => {
      // Before any row, so that two administrators who remove each other come one after the other.
      if (!isOperator(actor)) await lockAdministrators(trx);
      const user = await lockUser(trx, userId, 'update');
      await requireActor(trx, actor, scope);
      if (user === undefined) throw userUnknown();
      await revoke(await write(trx, user));
    });
  }

  async #revocationsOf(trx: Transaction<Schema>, { id, gen }: UserState): Promise<Revocation[]> {
    return [
      ...(await this.ending.revocationsOfUser(trx, id, gen + 1)),
      ...(await this.apiTokens.rereadOfUser(trx, id, gen + 1)),
    ];
  }

  /**
   * Somebody must be left who can make another administrator. The command line always can, so it
   * may remove the last one.
   * @param left the roles that the user will have; none for one who cannot log in
   */
  async #keepAdministrator(
    trx: Transaction<Schema>,
    user: UserState,
    left: readonly string[],
    actor: Actor,
  ): Promise<void> {
    if (isOperator(actor) || user.disabled || !isAdministrator(user.roles)) return;
    if (isAdministrator(left)) return;
    const others = await trx
      .selectFrom('users')
      .select('roles')
      .where('id', '!=', user.id)
      .where('disabled_at', 'is', null)
      .where('password_expires_at', 'is', null) // invited, and not there yet
      .where('roles', '!=', DEFAULT_ROLE)
      .execute();
    if (others.some(({ roles }) => isAdministrator(roles.split(' ')))) return;
    throw conflict('last_administrator', 'There must be another administrator first');
  }
}

/** What is left out stays as it is. */
export interface AccountChange {
  disabled?: boolean | undefined;
  roles?: readonly Role[] | undefined;
}

const isOperator = ({ id }: Actor): boolean => id === 'cli';

const isAdministrator = (roles: readonly string[]): boolean => scopesOf(roles).includes('admin');
