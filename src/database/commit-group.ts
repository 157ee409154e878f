import { toCaller } from './sqlite-errors.js';
import type { SqliteFile } from './sqlite-file.js';

/**
 * Commits together the transactions that end in one turn of the event loop: to wait for the disk
 * takes longer than all their statements, and is done once for all of them. None is told that it
 * is committed before it is, and nobody reads what is not: who comes without a transaction, or
 * from another process, sees all of the group or nothing.
 *
 * The group is one transaction of SQLite. Each that begins in an open group has a savepoint, to be
 * undone without the others. What undoes all of it (a disk that is full) is every member's error.
 */
export class CommitGroup {
  /** Those whose work is done, in order. */
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  /** One is at work: until it ends, there can be no commit. */
  #working = false;
  #due = false;

  constructor(private readonly file: SqliteFile) {}

  get isOpen(): boolean {
    return this.#waiting.length > 0;
  }

  /** Begins the work of one; the transaction of SQLite has begun, by it or by one before it. */
  enter(): void {
    try {
      if (this.isOpen) this.file.run('savepoint member');
    } catch (error) {
      if (!this.file.db.isTransaction) this.#fail(error);
      throw toCaller(error);
    }
    this.#working = true;
  }

  /** Ends the work of one. @returns when it is committed. @throws when it cannot be */
  join(): Promise<void> {
    if (!this.file.db.isTransaction) throw toCaller(this.file.fault);
    if (this.isOpen) this.file.run('release member');
    // After the requests whose bytes have arrived: they are read before the turn ends.
    else setImmediate(() => this.commit());
    const committed = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    this.#workIsOver();
    return committed;
  }

  /**
   * Undoes the work of one, after some error.
   * @returns when it can be told: what the others have written may be the reason
   */
  leave(): Promise<void> {
    try {
      // After some faults SQLite has rolled back by itself, and all that had joined.
      if (!this.file.db.isTransaction) throw this.file.fault;
      if (this.isOpen) {
        this.file.run('rollback to member');
        this.file.run('release member');
      } else {
        this.file.run('rollback');
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#workIsOver();
    if (!this.isOpen) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ resolve, reject: () => resolve() }));
  }

  /** Commits those who have joined: now, or as soon as the one at work has ended. */
  commit(): void {
    this.#due = this.#working;
    if (this.#working || !this.isOpen) return;
    try {
      this.file.run('commit');
    } catch (error) {
      return this.#fail(error);
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #workIsOver(): void {
    this.#working = false;
    if (this.#due) this.commit();
  }

  /** Nobody's work is kept, and all of them are told. */
  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(toCaller(error));
    if (this.file.db.isTransaction) this.file.run('rollback');
  }
}
