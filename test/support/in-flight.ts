let requests = 0;
const listeners = new Set<(inFlight: boolean) => void>();

/** Counts a request as long as it has no answer. */
export async function whileInFlight<T>(ask: () => Promise<T>): Promise<T> {
  if (requests++ === 0) for (const tell of listeners) tell(true);
  try {
    return await ask();
  } finally {
    if (--requests === 0) for (const tell of listeners) tell(false);
  }
}

/** @param tell when the first request begins, and when the last has ended @returns what ends it */
export function onInFlight(tell: (inFlight: boolean) => void): () => void {
  listeners.add(tell);
  return () => listeners.delete(tell);
}
