// What races have in common: tokens that are asked for, and a rival that takes the right away.
import { setTimeout as sleep } from 'node:timers/promises';
import { DATABASES } from './databases.mjs';
import { openOperator } from './operator.mjs';
import { inBatches, openWorld, soon } from './world.mjs';

/** Milliseconds until what was ended has to be refused by every instance. */
const KNOWN_AFTER = 1000;
/** Milliseconds: a password change computes two hashes before it writes. */
const HASHING = 40;

/**
 * Races each rival on each database.
 * @param atOnce how many races are under way at the same time
 * @param race given the world and the name of its rival, returns its faults among others
 * @param row what the table says of the races against one rival
 */
export async function raceAll(rivals, { rounds, tell, atOnce, race, row }) {
  const rows = [];
  for (const kind of DATABASES) {
    const world = await openWorld(kind);
    const operator = await openOperator(world.databaseUrl);
    for (const rival of Object.keys(rivals)) {
      tell(`${rival}, ${kind}`);
      const races = await inBatches(rounds, atOnce, () => race({ ...world, operator }, rival));
      const dead = races.filter(({ faults }) => faults.length === 0).length;
      const { what, first } = row(rival, races);
      const wins = races.filter(({ statuses }) => statuses.includes(200)).length;
      // With as many rounds as these, one that always comes first was never raced.
      const faults =
        rounds >= 100 && (wins === 0 || wins === races.length) ? ['there was no race'] : [];
      rows.push({
        what: `${what}, ${kind}`,
        measured: `${dead} of ${races.length} dead; ${first}`,
        bound: 'all dead within 1 s',
        faults: [...faults, ...races.flatMap((one) => one.faults)],
      });
    }
    await operator.close();
    await world.close();
  }
  return rows;
}

/**
 * Has a rival and so many requests begin at nearly the same time, and waits until all must know.
 * @returns the bodies of those that came first, every status, and what the rival did wrong
 */
export async function against(rival, end, requests, ask) {
  const spread = rival === 'password change' ? HASHING : 10;
  const [ended, ...answers] = await Promise.all([
    soon(end),
    ...Array.from({ length: requests }, () => soon(ask, spread)),
  ]);
  await sleep(KNOWN_AFTER);
  const faults = [];
  if (ended !== undefined && ended.status >= 300) {
    faults.push(`${rival} was answered ${ended.status} ${ended.body.code}`);
  }
  // To be asked to try again is an answer; whatever else is the server's fault is one.
  const broken = answers.filter(({ status }) => status >= 500 && status !== 503);
  faults.push(...broken.map(({ status }) => `a request was answered ${status}`));
  return {
    won: answers.filter(({ status }) => status === 200).map(({ body }) => body),
    statuses: answers.map(({ status }) => status),
    faults,
  };
}

/** What else than these was answered, for the end of a row. */
export function others(races, expected) {
  const other = races.flatMap(({ statuses }) => statuses).filter((one) => !expected.includes(one));
  return other.length > 0 ? `; also ${[...new Set(other)]}` : '';
}
