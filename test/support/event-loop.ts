import { readFileSync } from 'node:fs';
import { onInFlight } from './in-flight.js';

/** Milliseconds. */
const MOST_LAG = 100;
const LONGEST_LAG = 1000;
const EVERY = 10;
/** Of fewer moments a percentile would be the one that was worst, and no rule but chance. */
const ENOUGH = 500;

/**
 * How long the event loop was held up while a request had no answer, over a whole file. What counts
 * is the time in which this very thread computed: neither that of the hashing threads, nor that in
 * which the machine did something else. Server and test share the thread: so what the test computes
 * before it asks is left out, and whoever watches has asked once before (the first time, `fetch`
 * and the server are still being compiled).
 */
const held: number[] = [];

/** @returns what ends the watching */
export function watchEventLoop(): () => void {
  let [at, cpu] = [performance.now(), threadTime()];
  const measure = () => {
    const [now, spent] = [performance.now(), threadTime()];
    // Answers that came sooner would only make the others look rare.
    if (now - at >= EVERY) held.push(Math.min(now - at, spent - cpu));
    [at, cpu] = [now, spent];
  };
  let timer: NodeJS.Timeout | undefined;
  const stop = onInFlight((inFlight) => {
    clearInterval(timer);
    if (!inFlight) return measure();
    [at, cpu] = [performance.now(), threadTime()];
    timer = setInterval(measure, EVERY);
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}

/** Milliseconds that the main thread has computed; of the whole process where only that is known. */
function threadTime(): number {
  if (process.platform === 'linux') {
    const schedstat = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1');
    return Number.parseInt(schedstat, 10) / 1e6;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

afterAll(() => {
  if (held.length === 0) return; // nothing in the file was watched
  held.sort((a, b) => a - b);
  expect(held.at(-1)).toBeLessThan(LONGEST_LAG);
  if (held.length >= ENOUGH) expect(held[Math.floor(held.length * 0.99)]).toBeLessThan(MOST_LAG);
});
