import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { CopyTable } from './copy-tables.js';
import type { Executor } from './database.js';

/**
 * How many rows there are and the sum, modulo 2^64, of a hash of each: the same in whatever order
 * they come. Not an exclusive or, in which a row that is there twice would be none.
 */
export interface Digest {
  rows: number;
  sum: bigint;
}

export const EMPTY: Digest = { rows: 0, sum: 0n };

/** Adds a row to a digest. @param values JSON texts, in the order of the columns */
export function withRow({ rows, sum }: Digest, values: readonly string[]): Digest {
  const hash = createHash('sha256')
    .update(`[${values.join(', ')}]`)
    .digest();
  return { rows: rows + 1, sum: BigInt.asUintN(64, sum + hash.readBigUInt64BE()) };
}

/** The same of a table of a PostgreSQL, which computes it where the rows are. */
export async function digestOnPostgres(
  target: Executor,
  { name, columns }: CopyTable,
): Promise<Digest> {
  const array = sql`json_build_array(${sql.join(columns.map((column) => sql.ref(column)))})`;
  const { rows } = await sql<{ rows: number; sum: string }>`
    select count(*) as rows, coalesce(sum(
      ('x' || encode(substr(sha256(convert_to(${array}::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint
    ), 0)::text as sum
    from ${sql.table(name)}
  `.execute(target);
  const [{ rows: count, sum } = { rows: 0, sum: '0' }] = rows;
  return { rows: count, sum: BigInt.asUintN(64, BigInt(sum)) };
}

export const isEqual = (one: Digest, other: Digest): boolean =>
  one.rows === other.rows && one.sum === other.sum;
