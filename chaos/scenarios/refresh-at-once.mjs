// Many tabs, or many instances, refresh with one token at the same moment: all hold its successor.
import { logIn, refresh, register } from '../client.mjs';
import { DATABASES, reuses } from '../databases.mjs';
import { distribution } from '../table.mjs';
import { openWorld } from '../world.mjs';

const AT_ONCE = 64;

export const refreshAtOnce = { full: 200, quick: 8, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) {
    tell(kind);
    rows.push(await onDatabase(kind, rounds));
  }
  return rows;
}

async function onDatabase(kind, rounds) {
  const { databaseUrl, servers, close } = await openWorld(kind);
  let { refresh_token: token } = await logIn(servers[0], await register(servers[0]));
  const faults = [];
  const times = [];
  let good = 0;
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) =>
        refresh(servers[index % servers.length], token),
      ),
    );
    times.push(performance.now() - from);
    const given = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status !== 200);
    const successors = new Set(given.map(({ body }) => body.refresh_token));
    if (refused.length === 0 && successors.size === 1) good++;
    else {
      const codes = new Set(refused.map(({ status, body }) => `${status} ${body.code}`));
      faults.push(
        `round ${round + 1}: ${successors.size} successors; ` +
          `${refused.length} refused: ${[...codes].join()}`,
      );
      if (given.length === 0) break;
    }
    // The next round shows that the successor is a good one.
    token = given[0].body.refresh_token;
  }
  if ((await reuses(databaseUrl)) > 0) faults.push('an honest client was taken for a thief');
  await close();
  return {
    what: `${AT_ONCE} refreshes of one token, ${kind}, ${servers.length} process(es)`,
    measured: `${good} of ${rounds}; ms for all: ${distribution(times)}`,
    bound: 'all 200, one successor',
    faults,
  };
}
