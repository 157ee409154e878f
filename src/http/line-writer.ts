import { write, writeSync } from 'node:fs';
import { droppedLines } from '../metrics/metrics.js';

/** Bytes: lines are written together once there are so many of them, or the timer comes. */
const BATCH = 65_536;
const NEWLINE = 0x0a;
/** Milliseconds. */
const WRITE_EVERY = 250;
const RETRY_AFTER = 10;
/** Bytes that may wait for a reader that has stopped reading; beyond it lines are dropped. */
const MOST_WAITING = 4 * 1024 * 1024;

/** Milliseconds that a reader has to take what is left when the process ends. */
const LAST_CHANCE = 500;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes lines to a file descriptor, asynchronously: a slow reader does not slow requests. A line
 * is copied into its batch at once, so that thousands a second are no garbage to be collected.
 */
export class LineWriter {
  #batch = Buffer.allocUnsafeSlow(BATCH);
  #length = 0;
  readonly #full: Buffer[] = [];
  #waiting = 0;
  /** Whether the system is at work on the first of the full ones. */
  #writing = false;

  constructor(private readonly descriptor: number) {
    // To name it makes a pipe non-blocking: a write to a full one would hold a thread, and with
    // it the end of the process, until somebody reads.
    void process.stdout;
    setInterval(() => this.#flush(), WRITE_EVERY).unref();
  }

  write(line: string): void {
    const most = line.length * 3; // bytes of UTF-8
    if (most > BATCH - this.#length) this.#flush();
    if (most > BATCH) this.#queue(Buffer.from(line));
    else this.#length += this.#batch.write(line, this.#length);
  }

  /** Writes out what waits, before the process ends, as far as the reader takes it by then. */
  flushSync(): void {
    const waiting = this.#full.splice(this.#writing ? 1 : 0);
    waiting.push(this.#batch.subarray(0, this.#length));
    this.#length = 0;
    const until = performance.now() + LAST_CHANCE;
    let left = Buffer.concat(waiting);
    while (left.length > 0 && performance.now() < until) {
      try {
        left = left.subarray(writeSync(this.descriptor, left));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return; // nobody is left to tell
        Atomics.wait(PAUSE, 0, 0, 5);
      }
    }
  }

  #flush(): void {
    if (this.#length > 0) {
      this.#queue(this.#batch.subarray(0, this.#length));
      this.#batch = Buffer.allocUnsafeSlow(BATCH);
      this.#length = 0;
    }
    if (!this.#writing) this.#writeNext();
  }

  #queue(batch: Buffer): void {
    if (this.#waiting + batch.length > MOST_WAITING) {
      droppedLines.inc(batch.reduce((lines, byte) => (byte === NEWLINE ? lines + 1 : lines), 0));
      return;
    }
    this.#waiting += batch.length;
    this.#full.push(batch);
  }

  #writeNext(): void {
    const batch = this.#full[0];
    if (batch === undefined) return;
    this.#writing = true;
    write(this.descriptor, batch, (error, written) => {
      this.#writing = false;
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#flush(), RETRY_AFTER).unref();
        return;
      }
      // What a closed pipe does not take is lost: it must not end the service.
      const done = error ? batch.length : written;
      this.#waiting -= done;
      if (done < batch.length) this.#full[0] = batch.subarray(done);
      else this.#full.shift();
      this.#writeNext();
    });
  }
}
