import { sql } from 'kysely';
import { type Database, isPostgres } from '../database/database.js';
import type { Revocation } from './revocation.js';

interface Row {
  id: number;
  kind: Revocation['kind'];
  subject: string;
  gen: number | null;
  sid: string | null;
  expires_at: number;
}

interface Batch {
  revocations: Revocation[];
  /** Milliseconds by which the database's clock is ahead of ours, where it has one of its own. */
  clockOffset?: number;
}

/**
 * Reads the revocations that were committed since the last read, by any process.
 *
 * SQLite has one writer at a time, so ids follow the order of commits. On PostgreSQL they do not:
 * a slow transaction commits rows with older ids later. There each read begins at the oldest
 * transaction that was still open in the snapshot of the read before; what is read twice is
 * added once.
 */
export class RevocationReader {
  #lastId = 0;
  #oldestOpen = '0';

  constructor(private readonly db: Database) {}

  next(now: number): Promise<Batch> {
    return isPostgres(this.db) ? this.#nextOnPostgres() : this.#nextOnSqlite(now);
  }

  async #nextOnSqlite(now: number): Promise<Batch> {
    const rows = await this.db
      .selectFrom('revocations')
      .select(['id', 'kind', 'subject', 'gen', 'sid', 'expires_at'])
      .where('id', '>', this.#lastId)
      .orderBy('id')
      .execute();
    this.#lastId = rows.at(-1)?.id ?? this.#lastId;
    return { revocations: rows.filter((row) => row.expires_at > now).map(toRevocation) };
  }

  async #nextOnPostgres(): Promise<Batch> {
    const askedAt = Date.now();
    const { rows } = await sql<Partial<Row> & { oldest_open: string; database_now: number }>`
      select pg_snapshot_xmin(pg_current_snapshot())::text as oldest_open,
        (extract(epoch from clock_timestamp()) * 1000)::bigint as database_now,
        r.id, r.kind, r.subject, r.gen, r.sid, r.expires_at
      from (select 1) as one left join revocations as r on r.xid >= ${this.#oldestOpen}::xid8
    `.execute(this.db);
    const answeredAt = Date.now();
    const [first] = rows;
    if (first === undefined) throw new Error('A left join of one row gave none');
    this.#oldestOpen = first.oldest_open;
    return {
      revocations: rows.filter((row): row is typeof row & Row => row.id != null).map(toRevocation),
      clockOffset: offset(first.database_now, askedAt, answeredAt),
    };
  }
}

/** Zero as long as the difference is within what the round trip leaves open. */
export function offset(databaseNow: number, askedAt: number, answeredAt: number): number {
  const difference = databaseNow - (askedAt + answeredAt) / 2;
  return Math.abs(difference) <= answeredAt - askedAt + 50 ? 0 : Math.round(difference);
}

function toRevocation({ kind, subject, gen, sid, expires_at: expiresAt }: Row): Revocation {
  if (kind === 'sub') return { kind, subject, gen: gen ?? 0, expiresAt };
  return { kind, subject, expiresAt, ...(sid !== null && { sid }) };
}
