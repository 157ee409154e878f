// Servers on one database, and what the scenarios do with them.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newDatabase } from './databases.mjs';
import { startServer } from './processes.mjs';

/** Two instances where the database lets them share it, one on SQLite. */
export async function openWorld(kind) {
  const databaseUrl = await newDatabase(kind);
  const servers = [await startServer(databaseUrl)];
  if (kind === 'postgres') servers.push(await startServer(databaseUrl));
  return {
    databaseUrl,
    servers,
    /** Any of the instances, as behind a load balancer. */
    any: () => servers[randomInt(servers.length)],
    close: () => Promise.all(servers.map((server) => server.kill())),
  };
}

/** Begins within so many milliseconds, so that of two that race each comes first at times. */
export async function soon(work, most = 10) {
  await sleep(randomInt(most + 1));
  return work();
}

/** Does rounds, so many at once. @returns what each gave, in no order */
export async function inBatches(rounds, atOnce, work) {
  const results = [];
  let next = 0;
  const one = async () => {
    while (next < rounds) results.push(await work(next++));
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, rounds) }, one));
  return results;
}

/** Does something again and again until it is told to stop. @returns what stops it, and waits */
export function endless(work) {
  const enough = new AbortController();
  const loop = (async () => {
    while (!enough.signal.aborted) await work();
  })();
  // Told to whoever stops it.
  loop.catch(() => undefined);
  return () => {
    enough.abort();
    return loop;
  };
}

/**
 * Kills a server under what `endless` began: each ends with the connection that it was using, or at
 * its next attempt.
 * @returns what failed in any other way
 */
export async function killUnder(server, clients) {
  await server.kill();
  const errors = await Promise.all(clients.map((stop) => stop().catch((error) => error)));
  // A TypeError is fetch's for a lost server.
  return errors
    .filter((error) => error instanceof Error && !(error instanceof TypeError))
    .map(({ message }) => message);
}

/** Asks until the answer is the wanted one. @returns the milliseconds; undefined after `most` */
export async function until(ask, wanted, most) {
  const from = performance.now();
  for (;;) {
    const answer = await ask();
    const took = performance.now() - from;
    if (took > most) return undefined;
    if (answer === wanted) return took;
    await sleep(10);
  }
}
