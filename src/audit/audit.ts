import { Inject, Injectable } from '@nestjs/common';
import type { Insertable } from 'kysely';
import { Clock } from '../clock.js';
import type { Executor } from '../database/database.js';
import { prepared } from '../database/prepared.js';
import type { AuditTable } from '../database/schema.js';

/** Named after the OWASP Logging Vocabulary where it has a word. */
export type AuditEvent =
  | 'authn_login_success'
  | 'authn_login_fail'
  | 'authn_login_fail_max'
  | 'authn_token_reuse'
  | 'authn_token_revoked'
  | 'session_use_after_expire'
  | 'session_restored_from_backup'
  | 'session_ended'
  | 'api_token_created'
  | 'api_token_ended'
  | 'key_rotated'
  | 'key_withdrawn'
  | 'keys_reencrypted'
  | 'authn_password_change'
  | 'authn_password_change_fail'
  | 'authn_password_reset'
  | 'authz_change'
  | 'user_created'
  | 'user_disabled'
  | 'user_enabled'
  | 'user_deleted'
  | 'users_imported'
  | 'users_exported';

export interface AuditEntry {
  event: AuditEvent;
  /** Whom it is about; null where there is no such user, or many. */
  userId: string | null;
  /** Who did it: a user's id, `cli`, or `anyone` before a login. */
  actor: string;
  address?: string;
  sessionId?: string;
  /** What else belongs to it. Never a password, a token, or a name as somebody typed it. */
  detail?: Record<string, string | number | readonly string[]>;
}

/** What happened, in a table that only grows. */
@Injectable()
export class Audit {
  constructor(@Inject(Clock) private readonly clock: Clock) {}

  /** Writes an entry in the transaction of what it tells: both are there, or neither. */
  async record(executor: Executor, entry: AuditEntry): Promise<void> {
    await insert(executor, {
      at: this.clock.now(),
      event: entry.event,
      user_id: entry.userId,
      actor: entry.actor,
      address: entry.address ?? null,
      session_id: entry.sessionId ?? null,
      detail: entry.detail === undefined ? null : JSON.stringify(entry.detail),
    });
  }
}

const insert = prepared((executor, row: Insertable<AuditTable>) =>
  executor.insertInto('audit').values({
    at: row.at,
    event: row.event,
    user_id: row.user_id,
    actor: row.actor,
    address: row.address,
    session_id: row.session_id,
    detail: row.detail,
  }),
);
