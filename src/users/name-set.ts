import { createHash } from 'node:crypto';

/** Slots; a power of two. */
const FIRST_SIZE = 1 << 16;

/**
 * Which names, or ids, came by already, in 16 to 32 bytes a name: of each only 64 bits of a hash
 * are kept. Of ten million names two would be taken for one with a probability of one in 350,000.
 */
export class NameSet {
  #slots = new BigUint64Array(FIRST_SIZE);
  #count = 0;

  /** @returns false where it was there already */
  add(name: string): boolean {
    if (this.#count >= this.#slots.length / 2) this.#grow();
    const print = printOf(name);
    const slot = this.#slotOf(print);
    if (this.#slots[slot] === print) return false;
    this.#slots[slot] = print;
    this.#count++;
    return true;
  }

  has(name: string): boolean {
    const print = printOf(name);
    return this.#slots[this.#slotOf(print)] === print;
  }

  #slotOf(print: bigint): number {
    const mask = this.#slots.length - 1;
    let slot = Number(print & BigInt(mask));
    while (this.#slots[slot] !== 0n && this.#slots[slot] !== print) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new BigUint64Array(before.length * 2);
    for (const print of before) if (print !== 0n) this.#slots[this.#slotOf(print)] = print;
  }
}

/** Never zero, which is an empty slot. */
const printOf = (name: string): bigint =>
  createHash('sha256').update(name).digest().readBigUInt64LE() || 1n;
