import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';

/** What is asked of the log; what is left out matches everything. */
export interface AuditQuery {
  /** Whom it is about. */
  userId?: string | undefined;
  event?: string | undefined;
  /** Epoch milliseconds, inclusive. */
  since?: number | undefined;
  /** Epoch milliseconds, exclusive. */
  until?: number | undefined;
  /** Only what was written before this entry. */
  before?: number | undefined;
  limit: number;
}

/** An entry as it was written. */
export interface LoggedEntry {
  id: number;
  /** Epoch milliseconds. */
  at: number;
  event: string;
  userId: string | null;
  actor: string;
  address: string | null;
  sessionId: string | null;
  detail: unknown;
}

/** Reads what happened. */
@Injectable()
export class AuditLog {
  constructor(@Inject(Database) private readonly db: Database) {}

  /** The newest first. */
  async read({ userId, event, since, until, before, limit }: AuditQuery): Promise<LoggedEntry[]> {
    const rows = await this.db
      .selectFrom('audit')
      .selectAll()
      .$if(userId !== undefined, (query) => query.where('user_id', '=', userId!))
      .$if(event !== undefined, (query) => query.where('event', '=', event!))
      .$if(since !== undefined, (query) => query.where('at', '>=', since!))
      .$if(until !== undefined, (query) => query.where('at', '<', until!))
      .$if(before !== undefined, (query) => query.where('id', '<', before!))
      .orderBy('id', 'desc')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      id: row.id,
      at: row.at,
      event: row.event,
      userId: row.user_id,
      actor: row.actor,
      address: row.address,
      sessionId: row.session_id,
      detail: row.detail === null ? null : (JSON.parse(row.detail) as unknown),
    }));
  }
}
