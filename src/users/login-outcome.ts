import { LatchkeyError } from '../errors.js';
import { logins } from '../metrics/metrics.js';

const OUTCOMES: Readonly<Record<string, string>> = {
  too_many_requests: 'throttled',
  temporarily_unavailable: 'unavailable',
};

/** Counts a login that fails at this step, for `/metrics`. */
export async function countFailure<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    const word = error instanceof LatchkeyError ? error.error : 'server_error';
    logins.inc({ outcome: OUTCOMES[word] ?? 'failed' });
    throw error;
  }
}
