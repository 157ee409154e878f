import type { StoredKey } from './key-store.js';
import type { ManagedAlgorithm, SigningKey } from './signing-key.js';

/** Milliseconds from the publication of a key to its first use: `jose` keeps a set for 600 s. */
export const PUBLISHED_BEFORE = 900_000;
/** Milliseconds by which clocks may differ, and a little more. */
const MARGIN = 60_000;

/**
 * The key that signs: the latest one that is due. A pure function of the time, so that no process
 * flips states. Where the clock is behind all of them, the first one signs nevertheless.
 *
 * @param now epoch milliseconds
 */
export function activeKey(
  keys: readonly StoredKey[],
  algorithm: ManagedAlgorithm,
  now: number,
): SigningKey | undefined {
  const dated = inOrder(keys, algorithm);
  return (dated.findLast(({ activateAt }) => activateAt <= now) ?? dated[0])?.key;
}

/**
 * The keys whose tokens may still be alive. One leaves when the last token is over that it can
 * have signed before its successor did: the next of its algorithm, or of the one that signs now.
 *
 * @param algorithm the one that signs
 * @param now epoch milliseconds
 */
export function verifyingKeys(
  keys: readonly StoredKey[],
  algorithm: ManagedAlgorithm,
  now: number,
): StoredKey[] {
  const current = inOrder(keys, algorithm);
  return keys.filter(({ key, activateAt, longestTtl }) => {
    const isCurrent = key.algorithm === algorithm;
    if (activateAt === null || key.algorithm === 'HS256') return isCurrent || current.length === 0;
    const successors = isCurrent ? current : [...inOrder(keys, key.algorithm), ...current];
    const next = Math.min(
      ...successors.map((other) => other.activateAt).filter((at) => at > activateAt),
    );
    return now < next + longestTtl * 1000 + MARGIN;
  });
}

function inOrder(
  keys: readonly StoredKey[],
  algorithm: ManagedAlgorithm,
): (StoredKey & { activateAt: number })[] {
  return keys
    .filter(
      (stored): stored is StoredKey & { activateAt: number } =>
        stored.key.algorithm === algorithm && stored.activateAt !== null,
    )
    .sort((a, b) => a.activateAt - b.activateAt);
}
