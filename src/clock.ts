import { Injectable } from '@nestjs/common';

/** The one source of time. Tests put a clock they can set in its place. */
@Injectable()
export class Clock {
  #offset = 0;

  /** Epoch milliseconds, corrected to the clock of the shared database. */
  now(): number {
    return Date.now() + this.#offset;
  }

  /** Milliseconds since some moment, for ages: no step of the wall clock makes them jump. */
  monotonic(): number {
    return performance.now();
  }

  /** Whole epoch seconds, as JWT writes times (RFC 7519 section 2, NumericDate). */
  seconds(): number {
    return Math.floor(this.now() / 1000);
  }

  /** How far (milliseconds) the database's clock is ahead of this machine's. */
  correct(offset: number): void {
    this.#offset = offset;
  }
}
