import { Clock } from '../../src/clock.js';

/** A clock that stands still until it is told to move. */
export class FrozenClock extends Clock {
  #time: number;
  #step = 0;

  constructor(time = Date.now()) {
    super();
    this.#time = time;
  }

  override now(): number {
    return this.#time + this.#step;
  }

  override monotonic(): number {
    return this.#time;
  }

  override correct(): void {}

  /** Sets the wall clock, and not the one that only goes forwards. @param seconds */
  step(seconds: number): void {
    this.#step += seconds * 1000;
  }

  /** @param seconds forwards, or backwards when negative */
  advance(seconds: number): void {
    this.#time += seconds * 1000;
  }
}
