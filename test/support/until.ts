import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks again and again until the answer is the one that is waited for.
 * @returns the milliseconds that it took
 * @throws with the last answer once `most` milliseconds are over
 */
export async function until<T>(ask: () => Promise<T>, wanted: T, most: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await ask();
    const took = performance.now() - startedAt;
    if (answer === wanted && took <= most) return took;
    if (took > most) throw new Error(`Still ${String(answer)} after ${Math.round(took)} ms`);
    await sleep(50);
  }
}
