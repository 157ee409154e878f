import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';
import {
  CompiledQuery,
  type Dialect,
  type Driver,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { CommitGroup } from './commit-group.js';
import { SqliteConnection } from './sqlite-connection.js';
import { SqliteFile } from './sqlite-file.js';
import { databaseUnavailable } from './unavailable.js';

/** How long a query waits, for the one connection and for another process's lock together. */
const PATIENCE = 2_000;

interface Options {
  file: string;
  directory: string;
  /** Milliseconds; the migrations, which wait for another process's, are given more. */
  patience?: number;
  /** Lets no other process have the file open, not even to read; fails where one has. */
  exclusive?: boolean;
  /** Looks at what is there: nothing is made, and nothing is left behind. */
  readOnly?: boolean;
}

/**
 * Kysely on SQLite through the `node:sqlite` API. The driver is synchronous, so it never waits
 * in SQLite (no busy timeout, which would stop the event loop): a lock held elsewhere is
 * retried here, between turns of the loop.
 */
export class SqliteDialect implements Dialect {
  constructor(private readonly options: Options) {}

  createDriver = (): Driver => new SqliteDriver(this.options);
  createQueryCompiler = () => new SqliteQueryCompiler();
  createAdapter = () => new TransactionalDdlAdapter();
  createIntrospector = (db: ConstructorParameters<typeof SqliteIntrospector>[0]) =>
    new SqliteIntrospector(db);
}

/** SQLite's DDL is transactional; with this, Kysely's migrator runs in one transaction. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  #file!: SqliteFile;
  #group!: CommitGroup;

  constructor(private readonly options: Options) {}

  async init(): Promise<void> {
    const { patience = PATIENCE, exclusive, readOnly } = this.options;
    this.#file = new SqliteFile(openFile(this.options), patience);
    this.#group = new CommitGroup(this.#file);
    if (readOnly) return;
    const connection = await this.acquireConnection();
    try {
      if (exclusive) await setPragma(connection, 'locking_mode', 'exclusive');
      await setPragma(connection, 'journal_mode', 'wal');
      await setPragma(connection, 'synchronous', 2); // FULL: a commit survives a power cut
      await setPragma(connection, 'foreign_keys', 1);
    } catch (error) {
      // The next query opens it anew.
      this.#file.db.close();
      throw error;
    }
    connection.release();
  }

  async acquireConnection(): Promise<SqliteConnection> {
    const connection = new SqliteConnection(this.#file, this.#group);
    await connection.acquire();
    return connection;
  }

  beginTransaction = (connection: SqliteConnection): Promise<void> => connection.begin();
  commitTransaction = (connection: SqliteConnection): Promise<void> => connection.commit();
  rollbackTransaction = (connection: SqliteConnection): Promise<void> => connection.rollback();

  releaseConnection(connection: SqliteConnection): Promise<void> {
    connection.release();
    return Promise.resolve();
  }

  /**
   * SQLite itself would empty the write-ahead log only if no prepared statement were left: what is
   * stopped leaves all its data in the one file, which people copy.
   */
  async destroy(): Promise<void> {
    // Whoever is at work ends first, if it is soon.
    await this.#file.lock.acquire(this.#file.patience).catch(() => undefined);
    this.#group.commit();
    try {
      if (!this.options.readOnly) this.#file.db.exec('pragma wal_checkpoint(truncate)');
    } catch {
      // The next start reads the log.
    }
    this.#file.db.close();
  }
}

/** Sets a pragma and reads it back: SQLite ignores what it does not know. */
async function setPragma(
  connection: SqliteConnection,
  name: string,
  value: string | number,
): Promise<void> {
  await connection.executeQuery(CompiledQuery.raw(`pragma ${name} = ${value}`));
  const { rows } = await connection.executeQuery<Record<string, unknown>>(
    CompiledQuery.raw(`pragma ${name}`),
  );
  const found = Object.values(rows[0] ?? {})[0];
  if (found !== value) throw new Error(`SQLite kept ${name} at ${String(found)}`);
}

/** Creates the directory (0700) and the file (0600) before SQLite would, with wider modes. */
function openFile({ file, directory, readOnly }: Options): DatabaseSyncInstance {
  try {
    if (readOnly) return new DatabaseSync(unchanged(file), { readOnly });
    if (!existsSync(file)) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      closeSync(openSync(file, 'a', 0o600));
    }
    return new DatabaseSync(file);
  } catch (error) {
    throw databaseUnavailable(error);
  }
}

/**
 * A reader, too, makes the files of the write-ahead log where they are not there, and leaves them.
 * Nobody has the database open then, so that it can be read as a file that nobody changes.
 */
function unchanged(file: string): string | URL {
  if (existsSync(`${file}-wal`) && existsSync(`${file}-shm`)) return file;
  const url = pathToFileURL(file);
  url.searchParams.set('immutable', '1');
  return url;
}
