// Keys rotate under load, with services that keep the JWKS as long as they may: nobody notices.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimsOf, guarded, kidOf, logIn, refresh, register } from '../client.mjs';
import { newDatabase } from '../databases.mjs';
import { startScript } from '../processes.mjs';
import { accepts, cached, fetchKeys } from '../verifier.mjs';
import { inBatches } from '../world.mjs';

const REQUESTS_A_SECOND = 200;
const SESSIONS = 10;
/** Every so many requests, one session is refreshed. */
const REFRESH_EVERY = 8;

/**
 * Seconds after the rotation, and how long (real milliseconds) the load goes on there. The new key
 * signs from 900 s on; the old one's last tokens expire at 2700 s, and it leaves at 2760 s.
 */
const STEPS = [
  [0, 1000],
  [300, 600],
  [600, 600],
  [899, 2200],
  [1200, 600],
  [1800, 600],
  [2300, 600],
  [2690, 600],
  [2759, 2200],
];

export const keyRotation = { full: 20, quick: 1, run };

async function run({ rounds, tell }) {
  const load = await openLoad();
  const { clock, servers, faults } = load;
  await load.runFor(1000);
  for (let rotation = 0; rotation < rounds; rotation++) {
    tell(`rotation ${rotation + 1}`);
    const before = load.lastKid();
    const from = clock.ahead;
    await servers[randomInt(2)].ask('rotate');
    for (const [seconds, milliseconds] of STEPS) {
      await load.pause();
      await clock.step(from + seconds * 1000);
      await load.runFor(milliseconds);
      const signing = load.lastKid();
      if (seconds < 899 !== (signing === before)) {
        faults.push(`rotation ${rotation + 1}: ${signing} signs at ${seconds} s`);
      }
    }
    if ((await fetchKeys(servers[0])).has(before)) {
      faults.push(`rotation ${rotation + 1}: the key before it is still published`);
    }
  }
  await load.pause();
  await Promise.all(servers.map((server) => server.kill()));
  const { accepted, checked, issued, seconds } = load;
  return [
    {
      what: 'rotations at 200 requests a second, 2 instances',
      measured:
        `${rounds} rotations; ${accepted} requests in ${seconds().toFixed(0)} s, ` +
        `${checked} checks of services, ${issued} tokens`,
      bound: '0 refused',
      faults,
    },
  ];
}

async function openLoad() {
  const databaseUrl = await newDatabase('postgres');
  const servers = [
    await startScript('stepped-server.mjs', databaseUrl),
    await startScript('stepped-server.mjs', databaseUrl),
  ];
  const clock = newClock(servers);
  const any = () => servers[randomInt(2)];
  // Kept for the 300 s that its header allows, for the 600 s of `jose`, and by one after the other.
  const byHttp = cached(() => fetchKeys(any()), 300_000, clock.now);
  const verifiers = {
    'a service that keeps keys for 300 s': byHttp,
    'a service that keeps keys for 600 s': cached(() => fetchKeys(any()), 600_000, clock.now),
    'a service behind a cache of 300 s that keeps keys for 600 s': cached(
      byHttp,
      600_000,
      clock.now,
    ),
  };

  const sessions = await inBatches(SESSIONS, SESSIONS, async () => {
    const user = await register(any());
    return logIn(any(), user);
  });
  let tokens = [];
  const keep = (token) => tokens.push({ token, kid: kidOf(token), ...claimsOf(token) });
  for (const session of sessions) keep(session.access_token);

  const load = { clock, servers, faults: [], accepted: 0, checked: 0, issued: SESSIONS };
  const note = (fault) => load.faults.push(`${fault} at ${Math.round(clock.ahead / 1000)} s`);

  const present = async () => {
    const living = tokens.filter(({ exp }) => exp * 1000 > clock.now());
    if (living.length === 0) return;
    const { token } = living[randomInt(living.length)];
    const status = await guarded(any(), token);
    if (status === 200) load.accepted++;
    else note(`an instance answered ${status}`);
    for (const [name, keys] of Object.entries(verifiers)) {
      if (await accepts(keys, token, clock.now())) load.checked++;
      else note(`${name} refused a token`);
    }
  };
  /** One at a time of each session, as a client does: of two, the later answer may be the older token. */
  const renewing = new Set();
  const renew = async (index) => {
    if (renewing.has(index)) return;
    renewing.add(index);
    await exchange(index).finally(() => renewing.delete(index));
  };
  const exchange = async (index) => {
    const { status, body } = await refresh(any(), sessions[index].refresh_token);
    if (status !== 200) return note(`a refresh was answered ${status} ${body.code}`);
    sessions[index] = body;
    load.issued++;
    keep(body.access_token);
  };

  let ticks = 0;
  let milliseconds = 0;
  const inFlight = new Set();
  const start = (work) => {
    const one = work.catch((error) => note(error.message)).finally(() => inFlight.delete(one));
    inFlight.add(one);
  };
  return Object.assign(load, {
    lastKid: () => tokens.at(-1).kid,
    seconds: () => milliseconds / 1000,
    runFor: async (duration) => {
      const from = performance.now();
      for (let sent = 0; performance.now() - from < duration;) {
        const due = ((performance.now() - from) / 1000) * REQUESTS_A_SECOND;
        for (; sent < due; sent++) {
          if (ticks++ % REFRESH_EVERY === 0) start(renew(((ticks / REFRESH_EVERY) % SESSIONS) | 0));
          start(present());
        }
        await sleep(2);
      }
      milliseconds += performance.now() - from;
    },
    /** No clock jumps by minutes: what is in flight is answered before it does. */
    pause: async () => {
      while (inFlight.size > 0) await Promise.all(inFlight);
      tokens = tokens.filter(({ exp }) => exp * 1000 > clock.now()).slice(-2000);
    },
  });
}

/** One clock for the servers and the services, ahead of the machine's. */
function newClock(servers) {
  const clock = {
    ahead: 0,
    now: () => Date.now() + clock.ahead,
    step: async (ahead) => {
      await Promise.all(servers.map((server) => server.ask('step', ahead)));
      clock.ahead = ahead;
    },
  };
  return clock;
}
