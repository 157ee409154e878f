import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { databaseUnavailable } from './unavailable.js';

/** How long a query waits, for the one connection and for another process's lock together. */
const PATIENCE = 2_000;
const RETRY_EVERY = 10;

const SQLITE_BUSY = 5;

interface Options {
  file: string;
  directory: string;
  /** Milliseconds; the migrations, which wait for another process's, are given more. */
  patience?: number;
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
  #db!: DatabaseSyncInstance;
  #connection!: SqliteConnection;
  readonly #lock = new Lock();
  readonly #patience: number;

  constructor(private readonly options: Options) {
    this.#patience = options.patience ?? PATIENCE;
  }

  async init(): Promise<void> {
    this.#db = openFile(this.options);
    this.#connection = new SqliteConnection(this.#db, performance.now() + this.#patience);
    await this.#connection.pragma('journal_mode', 'wal');
    await this.#connection.pragma('synchronous', 2); // FULL: a commit survives a power cut
    await this.#connection.pragma('foreign_keys', 1);
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const until = performance.now() + this.#patience;
    await this.#lock.acquire(this.#patience);
    this.#connection.until = until;
    return this.#connection;
  }

  /** IMMEDIATE: SQLite does not wait when a reading transaction wants to write. */
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After some faults (a full disk) SQLite has rolled back by itself.
    if (this.#db.isTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  releaseConnection(): Promise<void> {
    this.#lock.release();
    return Promise.resolve();
  }

  /**
   * SQLite itself would empty the write-ahead log only if no prepared statement were left: what is
   * stopped leaves all its data in the one file, which people copy.
   */
  destroy(): Promise<void> {
    try {
      this.#db.exec('pragma wal_checkpoint(truncate)');
    } catch {
      // The next start reads the log.
    }
    this.#db.close();
    return Promise.resolve();
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #statements = new Map<string, ReturnType<DatabaseSyncInstance['prepare']>>();

  constructor(
    private readonly db: DatabaseSyncInstance,
    /** Until when (`performance.now()`) whoever holds the connection waits for another process. */
    public until: number,
  ) {}

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    for (;;) {
      try {
        return this.#run<R>(sql, parameters);
      } catch (error) {
        const code = sqliteCode(error);
        if (code === undefined) throw error;
        // Inside a transaction the write lock is ours already, so only its begin can be busy.
        if (code === SQLITE_BUSY && !this.db.isTransaction && performance.now() < this.until) {
          await sleep(RETRY_EVERY);
        } else if (UNAVAILABLE.has(code)) {
          throw databaseUnavailable(error);
        } else {
          throw error;
        }
      }
    }
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('Streaming would hold the only connection: page through the rows instead');
  }

  /** Sets a pragma and reads it back: SQLite ignores what it does not know. */
  async pragma(name: string, value: string | number): Promise<void> {
    await this.executeQuery(CompiledQuery.raw(`pragma ${name} = ${value}`));
    const { rows } = await this.executeQuery<Record<string, unknown>>(
      CompiledQuery.raw(`pragma ${name}`),
    );
    const found = Object.values(rows[0] ?? {})[0];
    if (found !== value) throw new Error(`SQLite kept ${name} at ${String(found)}`);
  }

  #run<R>(sql: string, parameters: readonly unknown[]): QueryResult<R> {
    const statement = this.#statements.get(sql) ?? this.#prepare(sql);
    const values = parameters.map(refuseObjects);
    // A statement with result columns is read to its end, `returning` included.
    if (statement.columns().length > 0) return { rows: statement.all(...values) as R[] };
    const { changes, lastInsertRowid } = statement.run(...values);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  /** Keeps what was prepared: the queries of this program are few and always the same. */
  #prepare(sql: string): ReturnType<DatabaseSyncInstance['prepare']> {
    const statement = this.db.prepare(sql);
    if (this.#statements.size >= 200) this.#statements.clear();
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** `node:sqlite` takes an object as a set of named parameters, and silently binds nothing. */
function refuseObjects(value: unknown): null | number | bigint | string | Uint8Array {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint' || value instanceof Uint8Array) return value;
  throw new TypeError(`SQLite cannot store a ${typeof value}`);
}

/** Creates the directory (0700) and the file (0600) before SQLite would, with wider modes. */
function openFile({ file, directory }: Options): DatabaseSyncInstance {
  try {
    if (!existsSync(file)) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      closeSync(openSync(file, 'a', 0o600));
    }
    return new DatabaseSync(file);
  } catch (error) {
    throw databaseUnavailable(error);
  }
}

/** CORRUPT, NOTADB: the file is not what SQLite wrote. */
export function isDamaged(error: unknown): boolean {
  return [11, 26].includes(sqliteCode(error) ?? 0);
}

/** SQLite's primary result code, for an error that is SQLite's. */
function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

/** BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: the world's fault, and it may pass. */
const UNAVAILABLE = new Set([SQLITE_BUSY, 6, 8, 10, 13, 14]);

/** First come, first served, for the one connection. */
class Lock {
  #held = false;
  readonly #waiting: (() => void)[] = [];

  /** @throws temporarily_unavailable after `patience` milliseconds */
  async acquire(patience: number): Promise<void> {
    if (!this.#held) {
      this.#held = true;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const granted = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(granted), 1);
        reject(databaseUnavailable(new Error('waited too long for the SQLite connection')));
      }, patience);
      this.#waiting.push(granted);
    });
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#held = false;
  }
}
