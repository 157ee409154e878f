import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import type { CommitGroup } from './commit-group.js';
import { isBusy, toCaller } from './sqlite-errors.js';
import type { SqliteFile } from './sqlite-file.js';

const RETRY_EVERY = 10;

/** The one connection, as one of those sees it who use it by turns. */
export class SqliteConnection implements DatabaseConnection {
  #held = false;
  #inTransaction = false;
  /** Its transaction waits for the disk, or its turn is over: a query would be nobody's. */
  #closed = false;
  /** It was asked for more than a transaction, which then is not committed with others. */
  #alone = false;
  /** Until when (`performance.now()`) it waits for another process. */
  #until = 0;

  constructor(
    private readonly file: SqliteFile,
    private readonly group: CommitGroup,
  ) {}

  /** @throws temporarily_unavailable after as long as the file is patient */
  async acquire(): Promise<void> {
    this.#refuseClosed();
    this.#until = performance.now() + this.file.patience;
    await this.file.lock.acquire(this.file.patience);
    this.#held = true;
    if (this.#closed) this.#passOn();
    this.#refuseClosed();
  }

  /** Ends its turn. */
  release(): void {
    this.#closed = true;
    this.#passOn();
  }

  /** IMMEDIATE: SQLite does not wait when a reading transaction wants to write. */
  async begin(): Promise<void> {
    if (!this.#held) await this.acquire();
    if (this.#alone) this.group.commit();
    if (!this.group.isOpen) await this.#run('begin immediate');
    this.group.enter();
    this.#inTransaction = true;
  }

  async commit(): Promise<void> {
    const committed = this.group.join();
    this.#inTransaction = false;
    await this.#waitFor(committed);
  }

  async rollback(): Promise<void> {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    await this.#waitFor(this.group.leave());
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    this.#refuseClosed();
    if (!this.#held) await this.acquire();
    if (!this.#inTransaction) {
      this.#alone = true;
      this.group.commit();
    } else if (!this.file.db.isTransaction) {
      // SQLite has undone it by itself, and whoever is in it has caught the error.
      throw toCaller(this.file.fault);
    }
    const { rows, changes, lastInsertRowid } = await this.#run(sql, parameters);
    if (changes === undefined) return { rows: rows as R[] };
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid!) };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('Streaming would hold the only connection: page through the rows instead');
  }

  /** Lets others have the connection while the disk is waited for. */
  async #waitFor(end: Promise<void>): Promise<void> {
    if (this.#alone) this.group.commit();
    else this.#passOn();
    this.#closed = true;
    try {
      await end;
    } finally {
      this.#closed = false;
    }
  }

  #passOn(): void {
    if (!this.#held) return;
    this.#held = false;
    this.file.lock.release();
  }

  #refuseClosed(): void {
    if (this.#closed) throw new Error('A query was not awaited before its transaction ended');
  }

  /** Waits for another process's lock between turns of the loop, never in SQLite. */
  async #run(sql: string, parameters?: readonly unknown[]): Promise<ReturnType<SqliteFile['run']>> {
    for (;;) {
      try {
        return this.file.run(sql, parameters);
      } catch (error) {
        // Inside a transaction the write lock is ours already, so only its begin can be busy.
        const canWait = !this.#inTransaction && performance.now() < this.#until;
        if (!isBusy(error) || !canWait) throw toCaller(error);
        await sleep(RETRY_EVERY);
      }
    }
  }
}
