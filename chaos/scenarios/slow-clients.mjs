// Clients by the thousand that take as long as they can over headers, bodies and answers: others are
// served as if there were none, and they are closed when their time is over. Rounds are clients.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { guarded, logIn, register } from '../client.mjs';
import { newDatabase } from '../databases.mjs';
import { startScript, startServer } from '../processes.mjs';
import { distribution, percentile } from '../table.mjs';
import { vitals } from '../vitals.mjs';
import { inBatches, until } from '../world.mjs';

/** Seconds, as in `createAdapter`; the last is for a busy machine. */
const HEADERS = 10;
const REQUEST = 30;
const KEEP_ALIVE = 72;
const STANDSTILL = 60;
const CHECKED_EVERY = 5;
const SLACK = 8;

const POST =
  'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{';
const ask = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

const KINDS = [
  {
    what: 'headers, a byte a second',
    start: 'GET /secure-data HTTP/1.1\r\nHost: x\r\nX-Slow: ',
    byteByByte: true,
    within: HEADERS + CHECKED_EVERY,
  },
  {
    what: 'bodies, a byte a second',
    start: POST,
    byteByByte: true,
    within: REQUEST + CHECKED_EVERY,
  },
  {
    // The system takes it all for a client who reads nothing, and the connection is idle.
    what: 'readers of nothing',
    start: ask('/docs/swagger-ui.css'),
    deaf: true,
    within: KEEP_ALIVE,
  },
  {
    // More than the system takes: the server itself is left with it. Fewer, since the system takes 4 MB of each.
    what: 'readers of nothing, who ask for much',
    start: ask('/docs/swagger-ui.js').repeat(10),
    deaf: true,
    share: 1 / 20,
    // What was taken in the first period counts as progress.
    within: 2 * STANDSTILL,
  },
];

/** Fewer clients than these are only slow with headers: to wait for the others takes five minutes. */
const ALL_FROM = 1000;

/** Others, who are in no hurry. */
const HEALTHY = 4;
const PAUSE = 20;
/** Milliseconds that they are measured before, among and after the slow. */
const MEASURED_FOR = 4_000;
/** Milliseconds: what is below it is the machine's own noise. */
const FLOOR = 50;
const FDS_APART = 5;
/** Milliseconds until all of them are connected. */
const CONNECTED_WITHIN = 15_000;
/** MiB that the slow may take. */
const MOST_MEMORY = 128;
/** Files that a process has open beside the connections of the slow. */
const OTHER_FILES = 200;

export const slowClients = { full: 2000, quick: 200, run };

async function run({ rounds, tell }) {
  refuseFewFiles(rounds);
  const databaseUrl = await newDatabase('sqlite');
  const server = await startServer(databaseUrl);
  const crowd = await startScript('crowd.mjs', databaseUrl);
  const { access_token: token } = await logIn(server, await register(server));
  const rows = [];
  for (const kind of rounds < ALL_FROM ? KINDS.slice(0, 1) : KINDS) {
    tell(kind.what);
    rows.push(await among(kind, Math.ceil(rounds * (kind.share ?? 1)), { server, crowd, token }));
  }
  await crowd.kill();
  await server.kill();
  return rows;
}

async function among({ what, within, start, byteByByte, deaf }, count, { server, crowd, token }) {
  const faults = [];
  const idle = await healthy(server, token);
  const before = vitals(server);
  const port = Number(new URL(server.url).port);
  await crowd.ask('open', { port, count, start, byteByByte, deaf });
  const connected = () => vitals(server).fds >= before.fds + count - FDS_APART;
  if ((await until(connected, true, CONNECTED_WITHIN)) === undefined) {
    faults.push(`only ${vitals(server).fds - before.fds} were connected`);
  }
  const from = performance.now();
  const busy = await healthy(server, token);
  const full = vitals(server);
  if (full.rss > before.rss + MOST_MEMORY) {
    faults.push(`they took ${(full.rss - before.rss).toFixed(0)} MiB`);
  }
  const ended = await closing(server, before.fds, from, within + SLACK);
  if (ended.left > 0) faults.push(`${ended.left} are still connected after ${within + SLACK} s`);
  const lives = await crowd.ask('lives');
  // As long as every client of the kind is given; a deaf one is not told when it is closed.
  const soonest = Math.min(...lives) / 1000;
  if (!deaf && soonest < within - CHECKED_EVERY - 1) {
    faults.push(`one was closed after ${soonest.toFixed(1)} s`);
  }
  await crowd.ask('drop');
  const idleAgain = await healthy(server, token);
  const usual = Math.max(idle.p99, idleAgain.p99);
  if (busy.p99 > Math.max(FLOOR, 2 * usual)) {
    faults.push(`others waited ${busy.p99.toFixed(0)} ms, and ${usual.toFixed(0)} without them`);
  }
  faults.push(...idle.faults, ...busy.faults, ...idleAgain.faults);
  if (server.exit() !== undefined) throw new Error(`The server ended: ${server.said()}`);
  return {
    what: `${count} ${what}`,
    measured:
      `others p99 ${busy.p99.toFixed(0)} ms, idle ${usual.toFixed(0)}; ` +
      `+${(full.rss - before.rss).toFixed(0)} MiB; the last closed after ${ended.took.toFixed(0)} s` +
      (deaf ? '' : `; s each: ${distribution(lives.map((life) => life / 1000))}`),
    bound: `p99 twice or ${FLOOR} ms, +${MOST_MEMORY} MiB, ${within + SLACK} s`,
    faults,
  };
}

/** What those wait who are not slow. */
async function healthy(server, token) {
  const took = [];
  const faults = [];
  const end = performance.now() + MEASURED_FOR;
  await inBatches(HEALTHY, HEALTHY, async () => {
    while (performance.now() < end) {
      const from = performance.now();
      const status = await guarded(server, token);
      took.push(performance.now() - from);
      if (status !== 200) faults.push(`one of the others was answered ${status}`);
      await sleep(PAUSE);
    }
  });
  return { p99: percentile(took, 0.99), faults };
}

/** Waits until the server has as many files open as before. @returns the seconds, and what is left */
async function closing(server, fds, from, most) {
  for (;;) {
    const took = (performance.now() - from) / 1000;
    const left = vitals(server).fds - fds;
    if (left <= FDS_APART) return { took, left: 0 };
    if (took > most) return { took, left };
    await sleep(200);
  }
}

/** Node raises its limit of open files to the hard one, for itself and whom it starts. */
function refuseFewFiles(count) {
  const limit = Number(
    /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity,
  );
  if (limit < count + OTHER_FILES) {
    throw new Error(
      `${count} clients need as many open files and ${OTHER_FILES} more, and the hard limit is ${limit}: ` +
        'raise it (ulimit -Hn), or take fewer with --rounds',
    );
  }
}
