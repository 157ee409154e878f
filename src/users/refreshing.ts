import { Injectable, Logger } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit, type AuditEvent } from '../audit/audit.js';
import type { Schema } from '../database/schema.js';
import { scopeInvalid, sessionEnded, unavailable } from '../errors.js';
import { refreshes } from '../metrics/metrics.js';
import { Revocations, type Revoke } from '../revocation/revocations.js';
import { PASSWORD_CHANGE, stillHeld } from '../roles.js';
import type { RefreshTokenId } from '../sessions/refresh-tokens.js';
import { SessionEnding } from '../sessions/session-ending.js';
import { type Client, Sessions } from '../sessions/sessions.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { type IssuedTokens, toIssued } from './issued-tokens.js';
import { readUser, type UserState } from './user-state.js';

export interface RefreshRequest {
  refreshToken: string;
  /** Narrower than the session's, for this access token alone; undefined for all of them. */
  scopes: readonly string[] | undefined;
  audience: string;
  client: Client;
}

/** Milliseconds that a refresh waits for those of the same session before it. */
const PATIENCE = 2_000;

/** Turns a refresh token into its successor and another access token (RFC 6749 section 6). */
@Injectable()
export class Refreshing {
  readonly #logger = new Logger('Sessions');
  /** The last refresh of each session that is under way. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly revocations: Revocations,
    private readonly sessions: Sessions,
    private readonly ending: SessionEnding,
    private readonly tokens: AccessTokens,
    private readonly audit: Audit,
  ) {}

  /**
   * The session's row is written before the user is read, and whoever changes the user locks the
   * sessions after: so this sees the change, or the change sees the token that comes of this.
   *
   * @throws invalid_grant, one and the same for a token that is unknown, expired, ended or was
   *   used before; invalid_scope, and then the token is not used up
   */
  async refresh(request: RefreshRequest): Promise<IssuedTokens> {
    const id = this.sessions.read(request.refreshToken);
    if (id === undefined) throw refused();
    return this.#inTurn(id.refreshId, () => this.#refresh(id, request));
  }

  /**
   * One at a time for each session: otherwise many at once would all wait for its one row, and
   * hold every connection to the database while they do.
   */
  #inTurn<T>(refreshId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(refreshId) ?? Promise.resolve();
    const askedAt = performance.now();
    const start = (): Promise<T> => {
      // Behind a database that is silent, each would wait for all before it.
      if (performance.now() - askedAt > PATIENCE) throw unavailable('busy', 1);
      return work();
    };
    const turn = before.then(start, start);
    this.#turns.set(refreshId, turn);
    const end = (): void => {
      if (this.#turns.get(refreshId) === turn) this.#turns.delete(refreshId);
    };
    turn.then(end, end);
    return turn;
  }

  async #refresh(id: RefreshTokenId, request: RefreshRequest): Promise<IssuedTokens> {
    const lifetime = this.tokens.lifetime();
    const grant = await this.revocations.transaction(async (trx, revoke) => {
      const session = await this.sessions.rotate(trx, id, lifetime, request.client);
      if (session === undefined) {
        await this.#judge(trx, revoke, id, request.client);
        return undefined;
      }
      const user = await readUser(trx, session.userId);
      if (user === undefined || user.disabled) return undefined;
      const scopes = scopesNow(user, session.scopes, request.scopes);
      return { user, session, scopes, audience: request.audience, ...lifetime };
    });
    if (grant === undefined) throw refused();
    refreshes.inc({ outcome: 'success' });
    return toIssued(grant, this.tokens.issue(grant));
  }

  /**
   * Why a genuine token could not be used. In a live session it was used before, by its owner or
   * by a thief, and one of them has its successor: the session ends for both.
   */
  async #judge(
    trx: Transaction<Schema>,
    revoke: Revoke,
    { refreshId, counter }: RefreshTokenId,
    { address }: Client,
  ): Promise<void> {
    const session = await this.sessions.find(trx, refreshId, { lock: true });
    // The user was deleted, or all of it was over long ago.
    if (session === undefined) return;
    const record = (event: AuditEvent, detail?: Record<string, string | number>): Promise<void> =>
      this.audit.record(trx, {
        event,
        userId: session.user_id,
        actor: 'anyone',
        address,
        sessionId: session.id,
        ...(detail && { detail }),
      });
    if (!this.sessions.isLive(session)) {
      // Told once: who has a token that is over could fill the audit with it.
      await this.sessions.forgetRefreshToken(trx, session.id);
      return record('session_use_after_expire', {
        cause: session.ended_at === null ? 'expired' : 'ended',
      });
    }
    // The clock was set back in between: it is the valid one.
    if (session.counter === counter) return;
    // A thief must not have the successor for as long as the clock was ahead; a client that lost the
    // answer is not called one, the first time.
    if (session.counter === counter + 1 && this.sessions.isAhead(session)) {
      await this.sessions.endReuseInterval(trx, session.id);
      return record('session_use_after_expire', { cause: 'clock' });
    }
    const revocations = await this.ending.end(trx, session.user_id, session.id);
    await revoke(revocations ?? []);
    const detail = {
      last_address: session.address ?? '',
      presented: counter,
      current: session.counter,
    };
    // Nobody was given it yet: the row is older than the token.
    if (counter > session.counter) return record('session_restored_from_backup', detail);
    refreshes.inc({ outcome: 'reused' });
    this.#logger.error(
      `A refresh token of session ${session.id} was used again, from ${address}; the session, ` +
        `last used from ${session.address ?? 'an unknown address'}, has ended`,
    );
    return record('authn_token_reuse', detail);
  }
}

function refused(): Error {
  refreshes.inc({ outcome: 'refused' });
  return sessionEnded();
}

/**
 * What was granted at login, without what the roles have lost since, and of it what is asked for.
 * @throws invalid_scope for what was not granted (RFC 6749 section 6)
 */
function scopesNow(
  { roles, mustChangePassword }: UserState,
  granted: readonly string[],
  requested: readonly string[] = granted,
): readonly string[] {
  if (mustChangePassword) return [PASSWORD_CHANGE];
  if (!requested.every((scope) => granted.includes(scope))) throw scopeInvalid();
  return stillHeld(granted, roles).filter((scope) => requested.includes(scope));
}
