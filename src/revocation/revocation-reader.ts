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
  clockOffset?: number | undefined;
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

  next(): Promise<Batch> {
    return isPostgres(this.db) ? this.#nextOnPostgres() : this.#nextOnSqlite();
  }

  async #nextOnSqlite(): Promise<Batch> {
    const rows = await this.db
      .selectFrom('revocations')
      .select(['id', 'kind', 'subject', 'gen', 'sid', 'expires_at'])
      .where('id', '>', this.#lastId)
      .orderBy('id')
      .execute();
    this.#lastId = rows.at(-1)?.id ?? this.#lastId;
    return { revocations: rows.map(toRevocation) };
  }

  async #nextOnPostgres(): Promise<Batch> {
    const from = this.#oldestOpen;
    // Unless this read succeeds: another server, with other transaction ids, may have taken over.
    this.#oldestOpen = '0';
    const askedAt = Date.now();
    const beganAt = performance.now();
    const { rows } = await sql<Partial<Row> & { oldest_open: string; database_now: number }>`
      select pg_snapshot_xmin(pg_current_snapshot())::text as oldest_open,
        (extract(epoch from clock_timestamp()) * 1000)::bigint as database_now,
        r.id, r.kind, r.subject, r.gen, r.sid, r.expires_at
      from (select 1) as one left join revocations as r on r.xid >= ${from}::xid8
    `.execute(this.db);
    // Not by the clock that is measured here, which may be set meanwhile.
    const answeredAt = askedAt + performance.now() - beganAt;
    const [first] = rows;
    if (first === undefined) throw new Error('A left join of one row gave none');
    if (BigInt(first.oldest_open) < BigInt(from)) return this.#nextOnPostgres();
    this.#oldestOpen = first.oldest_open;
    return {
      revocations: rows.filter((row): row is typeof row & Row => row.id != null).map(toRevocation),
      clockOffset: offset(first.database_now, askedAt, answeredAt),
    };
  }
}

/** Milliseconds: what took longer to ask tells too little of the time. */
const LONGEST_ROUND_TRIP = 1_000;

/**
 * Zero as long as the difference is within what the round trip leaves open; undefined where that
 * is too much to know.
 */
export function offset(
  databaseNow: number,
  askedAt: number,
  answeredAt: number,
): number | undefined {
  const roundTrip = answeredAt - askedAt;
  if (roundTrip > LONGEST_ROUND_TRIP) return undefined;
  const difference = databaseNow - (askedAt + answeredAt) / 2;
  return Math.abs(difference) <= roundTrip + 50 ? 0 : Math.round(difference);
}

function toRevocation({ kind, subject, gen, sid, expires_at: expiresAt }: Row): Revocation {
  if (kind === 'sub') return { kind, subject, gen: gen ?? 0, expiresAt };
  return { kind, subject, expiresAt, ...(sid !== null && { sid }) };
}
