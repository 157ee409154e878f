import { expectAlive, warmUp } from './alive.js';
import type { TestApp } from './app.js';
import { type Answer, call } from './client.js';
import { watchEventLoop } from './event-loop.js';
import { expectKept } from './kept.js';
import { secretsOf, watchOf } from './watch.js';

/** What a test under the oracle works with. */
export interface Watched {
  /** As the client's `call`. */
  call: <Body = Record<string, unknown>>(path: string, init?: RequestInit) => Promise<Answer<Body>>;
  /** Declares what must be found nowhere afterwards. Passwords and tokens in bodies are known. */
  secret: (text: string) => string;
}

/** Bytes. */
const MOST_GROWTH = 256 * 1024 * 1024;

/**
 * Does what may be hostile, and at once holds the service against what must be true whatever is
 * sent: it lives, is not held up, does not grow, serves the next valid request, and has left no
 * secret behind. That each answer is sound, `call` looks itself, and closing an application asks
 * once more for all that was ever sent to it.
 */
export async function withOracle(
  app: TestApp,
  work: (watched: Watched) => Promise<void>,
): Promise<void> {
  await warmUp(app);
  const known = new Set(secretsOf(app.url));
  const memory = process.memoryUsage.rss();
  const stopWatching = watchEventLoop();
  await work({
    secret: (text) => {
      watchOf(app.url).declared.add(text);
      return text;
    },
    call: (path, init) => call(app, path, init),
  }).finally(stopWatching);
  await expectAlive(app);
  await expectKept(
    app,
    secretsOf(app.url).filter((secret) => !known.has(secret)),
  );
  expect(process.memoryUsage.rss() - memory).toBeLessThan(MOST_GROWTH);
}
