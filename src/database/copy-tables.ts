import { sql } from 'kysely';
import type { Executor } from './database.js';

/** A table of ours, or of the application that is built on this. */
export interface CopyTable {
  name: string;
  columns: readonly string[];
}

/**
 * Every table of an SQLite database. Asked of the database and not listed here: a table that comes
 * later cannot be forgotten.
 */
export async function tablesOf(source: Executor): Promise<CopyTable[]> {
  const { rows } = await sql<{ name: string; columns: string }>`
    select name,
      (select json_group_array(name) from (
        select name from pragma_table_info(t.name) order by cid)) as columns
    from sqlite_master as t
    where type = 'table' and name not like 'sqlite\\_%' escape '\\'
      and name not like 'kysely\\_%' escape '\\'
    order by name
  `.execute(source);
  return rows.map(({ name, columns }) => ({ name, columns: JSON.parse(columns) as string[] }));
}
