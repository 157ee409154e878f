import { Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import type { Executor } from '../database/database.js';
import { sessionUnknown } from '../errors.js';
import { Revocations } from '../revocation/revocations.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { type Actor, by, requireActor } from './actor.js';
import { lockUser } from './user-state.js';

/** Ends sessions of a user, and with each its tokens: at once here, within a poll everywhere. */
@Injectable()
export class UserSessions {
  constructor(
    private readonly revocations: Revocations,
    private readonly ending: SessionEnding,
    private readonly audit: Audit,
  ) {}

  /** @throws not_found where the user has no such live session */
  async end(userId: string, sessionId: string, actor: Actor): Promise<void> {
    if (!(await this.endIfLive(userId, sessionId, actor))) throw sessionUnknown();
  }

  /** @returns whether there was such a live session */
  endIfLive(userId: string, sessionId: string, actor: Actor): Promise<boolean> {
    return this.revocations.transaction(async (trx, revoke) => {
      await lockUser(trx, userId, 'update');
      await requireActor(trx, actor);
      const revocations = await this.ending.end(trx, userId, sessionId);
      if (revocations === undefined) return false;
      await revoke(revocations);
      await this.audit.record(trx, { event: 'session_ended', userId, sessionId, ...by(actor) });
      return true;
    });
  }

  /**
   * Ends all sessions but one.
   * @param kept undefined ends all of them
   */
  async endOthers(userId: string, kept: string | undefined, actor: Actor): Promise<void> {
    await this.revocations.transaction(async (trx, revoke) => {
      await lockUser(trx, userId, 'update');
      await requireActor(trx, actor);
      const { sessions, revocations } = await this.ending.endOthers(trx, userId, kept);
      await revoke(revocations);
      await recordSessionsEnded(this.audit, trx, sessions, userId, actor);
    });
  }
}

/** One entry for each session, whatever it was that ended them. */
export async function recordSessionsEnded(
  audit: Audit,
  trx: Executor,
  sessions: readonly string[],
  userId: string,
  actor: Actor,
): Promise<void> {
  for (const sessionId of sessions) {
    await audit.record(trx, { event: 'session_ended', userId, sessionId, ...by(actor) });
  }
}
