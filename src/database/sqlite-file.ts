import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { databaseUnavailable } from './unavailable.js';

interface Statement {
  prepared: ReturnType<DatabaseSyncInstance['prepare']>;
  /** Statements with result columns are read to their end, `returning` included. */
  hasRows: boolean;
}

interface Outcome {
  rows: unknown[];
  changes?: number | bigint;
  lastInsertRowid?: number | bigint;
}

/** An open SQLite file: its statements, and the lock that gives it to one at a time. */
export class SqliteFile {
  readonly lock = new Lock();
  /** The last error. Where SQLite has undone a transaction by itself, it tells why. */
  fault: unknown;
  readonly #statements = new Map<string, Statement>();

  constructor(
    readonly db: DatabaseSyncInstance,
    /** Milliseconds that a query waits, for the lock and for another process's together. */
    readonly patience: number,
  ) {}

  /** @throws SQLite's own errors */
  run(sql: string, parameters: readonly unknown[] = []): Outcome {
    try {
      const { prepared, hasRows } = this.#statements.get(sql) ?? this.#prepare(sql);
      const values = parameters.map(refuseObjects);
      return hasRows ? { rows: prepared.all(...values) } : { rows: [], ...prepared.run(...values) };
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }

  /** Keeps what was prepared: the queries of this program are few and always the same. */
  #prepare(sql: string): Statement {
    const prepared = this.db.prepare(sql);
    const statement = { prepared, hasRows: prepared.columns().length > 0 };
    // Most pragmas act when they are prepared, and then never again.
    if (sql.startsWith('pragma')) return statement;
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
