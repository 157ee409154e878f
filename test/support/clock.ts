import { Clock } from '../../src/clock.js';

/** A clock that stands still until it is told to move. */
export class FrozenClock extends Clock {
  #time: number;

  constructor(time = Date.now()) {
    super();
    this.#time = time;
  }

  override now(): number {
    return this.#time;
  }

  override monotonic(): number {
    return this.#time;
  }

  override correct(): void {}

  /** @param seconds forwards, or backwards when negative */
  advance(seconds: number): void {
    this.#time += seconds * 1000;
  }
}
