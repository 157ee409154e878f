import { availableParallelism, totalmem } from 'node:os';

/** What this process may take of the machine. */
export interface Machine {
  /** Bytes. */
  memory: number;
  /** How many passwords are hashed at the same moment. */
  concurrentHashes: number;
}

/** libuv's own default. */
const THREADS = 4;

/**
 * As many hashes at once as cores, and one thread of libuv's pool is left: what writes the log and
 * resolves names would wait behind them. A machine with more than three cores is used up by
 * `UV_THREADPOOL_SIZE`, which libuv reads before any of our code runs.
 */
export function thisMachine(): Machine {
  const threads = Number(process.env['UV_THREADPOOL_SIZE']) || THREADS;
  return {
    // Without a limit Node tells one that is beyond any memory there is.
    memory: Math.min(process.constrainedMemory() || Infinity, totalmem()),
    concurrentHashes: Math.max(1, Math.min(availableParallelism(), threads - 1)),
  };
}
