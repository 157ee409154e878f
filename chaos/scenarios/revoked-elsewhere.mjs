// What one instance revokes the other refuses within a second, whoever else has a transaction open.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimsOf, guarded, logIn, logOut, register, revoke } from '../client.mjs';
import { connect } from '../postgres.mjs';
import { distribution } from '../table.mjs';
import { inBatches, openWorld, until } from '../world.mjs';

const AT_ONCE = 6;
/** Milliseconds. */
const KNOWN_AFTER = 1000;
const HELD_FOR = 5000;
/** How often an instance looks: no round is to begin right after it did. */
const POLL_EVERY = 500;

export const revokedElsewhere = { full: 200, quick: 24, run };

async function run({ rounds, tell }) {
  const world = await openWorld('postgres');
  tell('nobody else is there');
  const alone = await inBatches(rounds, AT_ONCE, (round) => revokeOne(world, round));
  tell('another connection has a transaction open');
  const { times: beside, late } = await besideTransactions(world, rounds);
  await world.close();
  return [
    row('revoked by one instance, refused by the other', alone),
    row('  while another transaction is open', beside),
    row('  and what that one revoked, once committed', late),
  ];
}

/** @returns milliseconds from the answer of one instance to the refusal of the other */
async function revokeOne({ servers: [here, there] }, round) {
  const session = await logIn(here, await register(here));
  const before = await guarded(there, session.access_token);
  if (before !== 200) throw new Error(`A new access token was answered ${before}`);
  await sleep(randomInt(POLL_EVERY));
  await [
    () => revoke(here, session.access_token),
    () => revoke(here, session.refresh_token),
    () => logOut(here, session.refresh_token),
  ][round % 3]();
  return until(() => guarded(there, session.access_token), 401, KNOWN_AFTER);
}

/** Rounds while a transaction has revoked something and not committed; of 5 s each. */
async function besideTransactions(world, rounds) {
  const times = [];
  const late = [];
  while (times.length < rounds) {
    const slow = await revokeSlowly(world);
    const from = performance.now();
    while (times.length < rounds && performance.now() - from < HELD_FOR - KNOWN_AFTER) {
      const batch = await inBatches(AT_ONCE, AT_ONCE, (round) => revokeOne(world, round));
      times.push(...batch);
    }
    await sleep(Math.max(0, HELD_FOR - (performance.now() - from)));
    late.push(...(await slow.commit()));
  }
  return { times, late };
}

/** A revocation whose transaction stays open: the rows that come after it are committed before. */
async function revokeSlowly({ databaseUrl, servers }) {
  const { access_token: token } = await logIn(servers[0], await register(servers[0]));
  const { sid, exp } = claimsOf(token);
  const client = await connect(databaseUrl);
  await client.query('begin');
  await client.query("insert into revocations (kind, subject, expires_at) values ('sid', $1, $2)", [
    sid,
    (exp + 65) * 1000,
  ]);
  return {
    commit: async () => {
      const early = await Promise.all(servers.map((server) => guarded(server, token)));
      if (early.some((status) => status !== 200)) throw new Error('It was refused too early');
      await client.query('commit');
      await client.end();
      return Promise.all(
        servers.map((server) => until(() => guarded(server, token), 401, KNOWN_AFTER)),
      );
    },
  };
}

/** @param times undefined where it was not in time */
function row(what, times) {
  const known = times.filter((time) => time !== undefined);
  return {
    what,
    measured: `${known.length} of ${times.length}; ms: ${distribution(known)}`,
    bound: `<= ${KNOWN_AFTER} ms`,
    faults: times.filter((time) => time === undefined).map(() => 'it was still accepted'),
  };
}
