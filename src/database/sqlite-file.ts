import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { databaseUnavailable } from './unavailable.js';

type Prepared = ReturnType<DatabaseSyncInstance['prepare']>;

interface Statement {
  prepared: Prepared;
  /** The result's. Statements that have any are read to their end, `returning` included. */
  columns: readonly string[];
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
      const { prepared, columns } = this.#statements.get(sql) ?? this.#prepare(sql);
      const values = parameters.map(refuseObjects);
      if (columns.length === 0) return { rows: [], ...prepared.run(...values) };
      const rows = prepared.all(...values) as unknown[][];
      // A migration of another process may have added one meanwhile, and `select *` reads it.
      const names = rows[0]?.length === columns.length ? columns : namesOf(prepared);
      return { rows: rows.map((row) => named(names, row)) };
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }

  /** Keeps what was prepared: the queries of this program are few and always the same. */
  #prepare(sql: string): Statement {
    const prepared = this.db.prepare(sql);
    // The driver makes an array in two thirds of the time that an object takes.
    prepared.setReturnArrays(true);
    const statement = { prepared, columns: namesOf(prepared) };
    // Most pragmas act when they are prepared, and then never again.
    if (sql.startsWith('pragma')) return statement;
    if (this.#statements.size >= 200) this.#statements.clear();
    this.#statements.set(sql, statement);
    return statement;
  }
}

const namesOf = (prepared: Prepared): string[] => prepared.columns().map(({ name }) => name);

function named(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) row[names[i]!] = values[i];
  return row;
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
