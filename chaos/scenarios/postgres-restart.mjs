// PostgreSQL is stopped at once and started again under load: no server ends, tokens are accepted
// meanwhile, and logins work again soon after it does.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { call, guarded, logIn, refresh, register, tryLogin } from '../client.mjs';
import { reuses } from '../databases.mjs';
import { startAgain, stopAtOnce } from '../postgres.mjs';
import { distribution } from '../table.mjs';
import { endless, inBatches, openWorld, until } from '../world.mjs';

const CLIENTS = 4;
const UNSEEN = 20;
const USERS = 20;
/** Milliseconds that it is away, beside what its stop and its start take. */
const AWAY = [200, 1500];
const BACK_WITHIN = 5000;

export const postgresRestart = { full: 20, quick: 1, run };

async function run({ rounds, tell }) {
  const world = await openWorld('postgres');
  const { servers, any, databaseUrl } = world;
  const seen = await logIn(any(), await register(any()));
  // Many, since one who has too many sessions loses the oldest.
  const users = await inBatches(USERS, CLIENTS, () => register(any()));
  const anyUser = () => users[randomInt(USERS)];
  const faults = [];
  const recoveries = [];
  const counts = { guarded: 0, logins: 0, waited: 0 };
  /** Tokens that no instance has seen: they are verified while the database is away. */
  let unseen = [];
  /** The last tokens that clients were given: they must outlive everything. */
  const held = await inBatches(CLIENTS, CLIENTS, () => logIn(any(), anyUser()));

  const asking = async () => {
    const token = unseen.pop()?.access_token ?? seen.access_token;
    const status = await guarded(any(), token);
    counts.guarded++;
    if (status !== 200) faults.push(`a guarded request was answered ${status}`);
    await sleep(5);
  };
  const writing = (index) => async () => {
    const [login, renewal] = [
      await tryLogin(any(), anyUser()),
      await refresh(any(), held[index].refresh_token),
    ];
    if (renewal.status === 200) held[index] = renewal.body;
    for (const { status, body } of [login, renewal]) {
      if (status === 200) counts.logins++;
      else if (status === 503) counts.waited++;
      else faults.push(`a write was answered ${status} ${body.code}`);
    }
    await sleep(5);
  };

  const loops = [
    endless(asking),
    endless(asking),
    ...held.map((_, index) => endless(writing(index))),
  ];
  for (let round = 0; round < rounds; round++) {
    tell(`stop ${round + 1}`);
    unseen = await inBatches(UNSEEN, CLIENTS, () => logIn(any(), anyUser()));
    await stopAtOnce();
    await sleep(randomInt(...AWAY));
    await startAgain();
    const back = await Promise.all(servers.map((server) => recovery(server, anyUser())));
    for (const took of back) {
      if (took === undefined) faults.push(`stop ${round + 1}: not back within ${BACK_WITHIN} ms`);
      else recoveries.push(took);
    }
    const ended = servers.filter((server) => server.exit() !== undefined);
    if (ended.length > 0) throw new Error(`A server ended: ${ended[0].said()}`);
  }
  await Promise.all(loops.map((stop) => stop()));
  for (const session of held) {
    const { status } = await refresh(any(), session.refresh_token);
    if (status !== 200) faults.push(`what a client held at the end was answered ${status}`);
  }
  const thefts = await reuses(databaseUrl);
  if (thefts > 0) faults.push(`${thefts} reuses in the audit`);
  await world.close();
  return [
    {
      what: 'PostgreSQL stopped at once and started',
      measured:
        `${rounds} stops; ${counts.guarded} guarded requests; ` +
        `${counts.logins} writes, ${counts.waited} told to try again`,
      bound: 'guarded all 200, no process ends',
      faults,
    },
    {
      what: '  ms until logins work again, once it accepts',
      measured: distribution(recoveries),
      bound: `<= ${BACK_WITHIN} ms`,
      faults: [],
    },
  ];
}

/** @returns milliseconds until the instance is ready and logs in again */
function recovery(server, user) {
  const works = async () =>
    (await call(server, '/health/ready')).status === 200 &&
    (await tryLogin(server, user)).status === 200;
  return until(works, true, BACK_WITHIN);
}
