import { sql, type Transaction } from 'kysely';
import { type Digest, digestOnPostgres, EMPTY, isEqual, withRow } from './copy-digest.js';
import { beginCopy, finishCopy, copiedUpTo, noteCopied, TargetNotEmpty } from './copy-state.js';
import { type CopyTable, tablesOf } from './copy-tables.js';
import type { Database, Executor } from './database.js';
import type { Schema } from './schema.js';
import { unflushed } from './unflushed.js';

const BATCH = 2_000;

interface Row {
  /** SQLite's own number of the row. */
  rowId: number;
  /** JSON texts, in the order of the columns. */
  values: string[];
}

export interface CopiedTable extends Digest {
  name: string;
}

/** @param rows of this table, by now */
type Tell = (table: string, rows: number) => void;

/**
 * Copies every row of an SQLite database to an empty PostgreSQL, and compares both. Each batch is
 * one transaction with the note of how far it came, so that a copy that was interrupted goes on
 * where it stopped; until it is finished no server starts on the target. One that was finished is
 * compared once more.
 *
 * @param source a transaction that nobody can write beside
 * @param target without a statement timeout
 * @throws Error when the target has rows that the source has not, or the source was changed since
 */
export async function copyDatabase(
  source: Transaction<Schema>,
  target: Database,
  tell: Tell,
): Promise<CopiedTable[]> {
  const tables = await tablesOf(source);
  try {
    await beginCopy(target, tables);
  } catch (error) {
    if (error instanceof TargetNotEmpty) return compareAll(source, target, tables, tell, error);
    throw error;
  }
  const copied: CopiedTable[] = [];
  for (const table of tables) {
    copied.push({ name: table.name, ...(await copyTable(source, target, table, tell)) });
  }
  await finishCopy(source, target, tables);
  return copied;
}

async function copyTable(
  source: Executor,
  target: Database,
  table: CopyTable,
  tell: Tell,
): Promise<Digest> {
  const last = await copiedUpTo(target, table.name);
  // What was copied before must still be what the source has: it may have run meanwhile.
  let digest = EMPTY;
  if (last !== undefined) {
    digest = await digestOnSqlite(source, table, last, tell);
    refuseDifference(table, digest, await digestOnPostgres(target, table));
  }
  let rows = await readRows(source, table, last);
  while (rows.length > 0) {
    const upTo = rows.at(-1)!.rowId;
    const batch = rows;
    rows = await unflushed(target, async (trx) => {
      const inserting = insertRows(trx, table, batch);
      // While PostgreSQL works. A failure to read is told once the insert is over.
      const reading = readRows(source, table, upTo);
      await Promise.allSettled([inserting, reading]);
      await inserting;
      await noteCopied(trx, table.name, upTo);
      return reading;
    });
    for (const { values } of batch) digest = withRow(digest, values);
    tell(table.name, digest.rows);
  }
  await refuseSkipped(source, table, digest);
  refuseDifference(table, digest, await digestOnPostgres(target, table));
  return digest;
}

async function compareAll(
  source: Executor,
  target: Database,
  tables: readonly CopyTable[],
  tell: Tell,
  notEmpty: Error,
): Promise<CopiedTable[]> {
  const compared: CopiedTable[] = [];
  for (const table of tables) {
    const digest = await digestOnSqlite(source, table, undefined, tell);
    await refuseSkipped(source, table, digest);
    // What differs was never a copy, or is in use by now.
    if (!isEqual(digest, await digestOnPostgres(target, table))) throw notEmpty;
    compared.push({ name: table.name, ...digest });
  }
  return compared;
}

function refuseDifference({ name }: CopyTable, source: Digest, target: Digest): void {
  if (isEqual(source, target)) return;
  throw new Error(
    `The table ${name} of the target is not what the source has (${target.rows} rows, ` +
      `${source.rows} there): the source was changed since the copy began, or something else ` +
      'writes to the target. Copy to a new, empty database.',
  );
}

/** What is compared was read page by page, on both sides of the comparison. */
async function refuseSkipped(
  source: Executor,
  { name }: CopyTable,
  { rows }: Digest,
): Promise<void> {
  const counted = await sql<{ rows: number }>`
    select count(*) as rows from ${sql.table(name)}
  `.execute(source);
  const [there] = counted.rows;
  if (there?.rows === rows) return;
  throw new Error(
    `The table ${name} of the source has ${there?.rows} rows, and ${rows} were read.`,
  );
}

/** @param upTo the last row; undefined for all of them */
async function digestOnSqlite(
  source: Executor,
  table: CopyTable,
  upTo: number | undefined,
  tell: Tell,
): Promise<Digest> {
  let digest = EMPTY;
  let last: number | undefined;
  for (;;) {
    const rows = await readRows(source, table, last, upTo);
    if (rows.length === 0) break;
    for (const { values } of rows) digest = withRow(digest, values);
    last = rows.at(-1)!.rowId;
    tell(table.name, digest.rows);
  }
  return digest;
}

/** The next rows, in SQLite's own order, which begins below zero. */
async function readRows(
  source: Executor,
  { name, columns }: CopyTable,
  after: number | undefined,
  upTo?: number,
): Promise<Row[]> {
  const bounds = [
    ...(after === undefined ? [] : [sql`rowid > ${after}`]),
    ...(upTo === undefined ? [] : [sql`rowid <= ${upTo}`]),
  ];
  const where = bounds.length === 0 ? sql`` : sql`where ${sql.join(bounds, sql` and `)}`;
  const { rows } = await sql<Record<string, unknown>>`
    select rowid as copied_row, ${sql.join(columns.map((column) => sql.ref(column)))}
    from ${sql.table(name)} ${where}
    order by rowid limit ${sql.lit(BATCH)}
  `.execute(source);
  return rows.map((row) => ({
    rowId: row['copied_row'] as number,
    values: columns.map((column) => jsonOf(row[column])),
  }));
}

function jsonOf(value: unknown): string {
  if (value === null || typeof value === 'string' || typeof value === 'number') {
    return JSON.stringify(value);
  }
  throw new TypeError(`A ${typeof value} cannot be copied`);
}

/** One parameter, whatever the number of rows: PostgreSQL takes 65,535. */
async function insertRows(
  trx: Executor,
  { name, columns }: CopyTable,
  rows: readonly Row[],
): Promise<void> {
  const names = columns.map((column) => `${JSON.stringify(column)}:`);
  const objects = rows.map(
    ({ values }) => `{${values.map((value, index) => names[index] + value).join(',')}}`,
  );
  const list = sql.join(columns.map((column) => sql.ref(column)));
  await sql`
    insert into ${sql.table(name)} (${list}) overriding system value
    select ${list} from json_populate_recordset(null::${sql.table(name)}, ${`[${objects.join(',')}]`}::json)
  `.execute(trx);
}
