// Hours of modest, mixed load: memory, open files, threads, tables and files stay as they are, and
// every answer is the one that is due. Rounds are minutes.
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { bearer, call, refresh, register, tryLogin } from '../client.mjs';
import { DATABASES, newDatabase, query } from '../databases.mjs';
import { startLoad } from '../load.mjs';
import { startCommand, startServer } from '../processes.mjs';
import { metrics, vitals } from '../vitals.mjs';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** What is begun in a second, on each database: some 20 requests. */
const RATE = 12;
/** As many access tokens as a server remembers. */
const REMEMBERED = 10_000;
/** Seconds between two looks at the process. */
const LOOK_EVERY = 5;

/** What ends, ends within the soak. */
const ENVIRONMENT = {
  ACCESS_TOKEN_TTL: '1m',
  SESSION_IDLE_TTL: '3m',
  SESSION_TTL: '10m',
  REFRESH_TOKEN_REUSE_INTERVAL: '2s',
  MAX_SESSIONS: '50',
  METRICS: 'open',
  LOG_LEVEL: 'info',
  NODE_OPTIONS: `--import=${new URL('../collect-on-signal.mjs', import.meta.url)}`,
};

/** The command line, one a minute in turn. */
const COMMANDS = [
  () => ['audit', 'verify'],
  ({ username }) => ['sessions', 'list', username],
  () => ['keys', 'list'],
  () => ['users', 'list'],
  () => ['audit', 'prune', '--older-than', '10m'],
];
const AUDIT_KEPT = 10 * MINUTE + COMMANDS.length * MINUTE;

/**
 * The tables of what ends: when a row is over, how long it is kept after that, and how far ahead its
 * end can be. Where no row is out of these bounds, the table is as large as the load makes it. What
 * is kept for hours is made as old by the soak itself, each minute: so it is deleted as on a day
 * like any other.
 */
const TABLES = {
  sessions: { end: 'idle_expires_at', kept: 25 * HOUR, ahead: 3 * MINUTE, aged: true },
  api_tokens: { end: 'ended_at', kept: 2 * HOUR, ahead: 0, aged: true },
  attempts: { end: 'ends_at', kept: 0, ahead: 15 * MINUTE },
  // Of an API token it lasts as long as instances remember one, five minutes and one. None is deleted
  // in the first hour of a process: the clock may be wrong.
  revocations: { end: 'expires_at', kept: 0, ahead: 7 * MINUTE, from: HOUR },
  audit: { end: 'at', kept: AUDIT_KEPT, ahead: 0 },
};
/** Of no bound but that of users and their addresses; told with the others. */
const OTHER_TABLES = ['users', 'known_addresses', 'audit_seals'];
/** Milliseconds: what is deleted each minute is gone after so long. */
const DELETED_WITHIN = 3 * MINUTE;
const CLOCK = 5_000;
/** Faults of a minute that are told at once; all of them are counted. */
const TOLD = 5;

/** The one thing in this load that an operator is alarmed about. */
const ABOUT_THIEVES = /"A refresh token of session \S+ was used again/;

/** MiB an hour. */
const MOST_SLOPE = 1;
/** Minutes from which on a slope, and a size, say anything: see `judgeMemory`, `judgeSizes`. */
const SLOPE_FROM = 60;
/** Milliseconds in which V8 gives back what it collected. */
const GIVEN_BACK = 2_000;
/** Minutes from which on a quarter is more than a few looks. */
const FLAT_FROM = 20;
/** Connections of clients that are open at the moment. */
const FDS_APART = 5;
/** MiB: SQLite empties its log at 4, unless somebody reads meanwhile. */
const MOST_LOG = 16;

export const soak = { full: 120, quick: 0, run };

async function run({ rounds, tell }) {
  const rows = await Promise.all(DATABASES.map((kind) => onDatabase(kind, rounds, tell)));
  return rows.flat();
}

async function onDatabase(kind, rounds, tell) {
  const databaseUrl = await newDatabase(kind);
  const server = await startServer(databaseUrl, ENVIRONMENT);
  await fillCache(server);
  const from = performance.now();
  const load = await startLoad(server, { rate: RATE, reuseInterval: 2_000 });
  const minutes = [];
  const faults = [];
  for (let minute = 1; minute <= rounds && server.exit() === undefined; minute++) {
    try {
      const seen = await lookFor(minute, from, { server, databaseUrl, load });
      minutes.push(seen);
      faults.push(...seen.faults);
      tell(`minute ${minute}, ${kind}: ${describe(seen, load)}`);
      for (const fault of seen.faults.concat(load.odd.slice(seen.oddBefore)).slice(0, TOLD))
        tell(`  ${fault}`);
    } catch (error) {
      faults.push(`minute ${minute}: ${error.message}`);
      tell(`minute ${minute}, ${kind}: ${error.message}`);
    }
  }
  await load.stop();
  if (server.exit() !== undefined)
    faults.push(`it ended: ${server.exit()}, ${server.said().slice(-500)}`);
  await server.kill('SIGTERM');
  const { requests, refused } = load.counts;
  return [
    {
      what: `${rounds} minutes, ${kind}`,
      measured: `${requests} requests, ${refused} of them told to wait; ${load.odd.length} other than due`,
      bound: 'as is due, no error in the log',
      faults: [
        ...faults,
        ...load.odd,
        ...server.complaints().filter((line) => !ABOUT_THIEVES.test(line)),
      ],
    },
    judgeMemory(minutes),
    judgeFlat(minutes),
    judgeTables(minutes),
    judgeSizes(minutes, kind),
  ];
}

/** At the rate of the load it would fill up for longer than the soak is, and pass for a leak. */
async function fillCache(server) {
  const user = await register(server);
  let { body: session } = await tryLogin(server, user);
  for (let count = 0; count < REMEMBERED; count++) {
    await call(server, '/secure-data', bearer(session.access_token));
    ({ body: session } = await refresh(server, session.refresh_token));
  }
}

/** One minute: looks at the process now and then, at its database at the end. */
async function lookFor(minute, from, { server, databaseUrl, load }) {
  const oddBefore = load.odd.length;
  const command = COMMANDS[minute % COMMANDS.length](load.users[1]);
  const running = startCommand(databaseUrl, ...command);
  const looks = [];
  while (performance.now() < from + minute * MINUTE) {
    await sleep(LOOK_EVERY * 1000);
    looks.push(vitals(server));
  }
  const faults = [];
  const code = await running.end();
  if (code !== 0) faults.push(`${command.join(' ')} ended with ${code}: ${running.said()}`);
  const least = (name) => Math.min(...looks.map((look) => look[name]));
  process.kill(server.pid, 'SIGUSR2');
  await sleep(GIVEN_BACK);
  const { rss } = vitals(server);
  const metric = await metrics(server);
  const { rows, out } = await countRows(databaseUrl, performance.now() - from);
  await age(databaseUrl);
  return {
    minute,
    oddBefore,
    most: Math.max(...looks.map((look) => look.rss)),
    rss,
    fds: least('fds'),
    threads: least('threads'),
    heap: metric('nodejs_heap_size_used_bytes') / 2 ** 20,
    heapTotal: metric('nodejs_heap_size_total_bytes') / 2 ** 20,
    handles: metric('nodejs_active_handles_total'),
    rows,
    ...(await sizes(databaseUrl)),
    faults: [
      ...faults,
      ...Object.entries(out).map(([table, count]) => `${count} rows of ${table} should be gone`),
    ],
  };
}

/** @param up milliseconds that the server runs @returns how many there are, and out of bounds */
async function countRows(databaseUrl, up) {
  const now = Date.now();
  const count = (table, where = '1 = 1') => `(select count(*) from ${table} where ${where})`;
  const columns = Object.entries(TABLES).flatMap(([table, { end, kept, ahead }]) => [
    `${count(table)} as ${table}`,
    `${count(
      table,
      `${end} <= ${now - kept - DELETED_WITHIN} or ${end} > ${now + ahead + CLOCK}`,
    )} as ${table}_out`,
  ]);
  columns.push(...OTHER_TABLES.map((table) => `${count(table)} as ${table}`));
  const [found] = await query(databaseUrl, `select ${columns.join()}`);
  const rows = {};
  const out = {};
  for (const table of [...Object.keys(TABLES), ...OTHER_TABLES]) {
    rows[table] = Number(found[table]);
    const judged = up >= (TABLES[table]?.from ?? 0) + DELETED_WITHIN;
    if (judged && Number(found[`${table}_out`] ?? 0) > 0) out[table] = found[`${table}_out`];
  }
  return { rows, out };
}

/** What is over since a while counts as over since long ago. */
async function age(databaseUrl) {
  const now = Date.now();
  for (const [table, { end, kept, aged }] of Object.entries(TABLES)) {
    if (!aged) continue;
    await query(
      databaseUrl,
      `update ${table} set ${end} = ${end} - ${kept} where ${end} <= ${now} and ${end} > ${now - kept}`,
    );
  }
}

/** MiB of the database, and of the write-ahead log of SQLite. */
async function sizes(databaseUrl) {
  if (databaseUrl.startsWith('sqlite:')) {
    const file = databaseUrl.slice('sqlite:'.length);
    return { size: statSync(file).size / 2 ** 20, log: statSync(`${file}-wal`).size / 2 ** 20 };
  }
  const [{ size }] = await query(
    databaseUrl,
    'select pg_database_size(current_database()) as size',
  );
  return { size: Number(size) / 2 ** 20, log: 0 };
}

/**
 * V8's heap saws by tens of MiB, over many minutes: so all garbage is collected, and what is left
 * moved together, before each look, and of the slopes between any two minutes the median counts
 * (Theil and Sen), which a few odd ones do not move. A soak shorter than an hour is told its slope
 * and not judged by it.
 */
function judgeMemory(minutes) {
  const warm = minutes.slice(quarter(minutes));
  const slope = slopeOf(warm.map(({ minute, rss }) => [minute / 60, rss]));
  const heap = slopeOf(warm.map((seen) => [seen.minute / 60, seen.heap]));
  const judged = minutes.length >= SLOPE_FROM;
  const show = (value) => (value === undefined ? 'too few minutes' : value.toFixed(1));
  return {
    what: '  memory without garbage after a quarter, MiB',
    measured:
      `${show(warm[0]?.rss)} to ${show(warm.at(-1)?.rss)}; ` +
      `an hour: ${show(slope)}, of the heap ${show(heap)}; ` +
      `with garbage at most ${show(Math.max(...minutes.map(({ most }) => most)))}`,
    bound: judged ? `<= ${MOST_SLOPE} an hour` : `none below ${SLOPE_FROM} minutes`,
    faults: judged && slope > MOST_SLOPE ? [`it grows by ${show(slope)} MiB an hour`] : [],
  };
}

/** The median of the slopes between any two points. */
function slopeOf(points) {
  const slopes = points.flatMap(([x, y], i) =>
    points.slice(i + 1).map(([later, value]) => (value - y) / (later - x)),
  );
  return slopes.toSorted((a, b) => a - b)[Math.floor(slopes.length / 2)];
}

const quarter = (minutes) => Math.max(1, Math.floor(minutes.length / 4));

/** The most of the least of each minute, in the second quarter and in the last. */
function judgeFlat(minutes) {
  const size = quarter(minutes);
  const most = (name, from) =>
    Math.max(...minutes.slice(from, from + size).map((seen) => seen[name]));
  const then = { fds: most('fds', size), threads: most('threads', size) };
  const last = minutes.length - size;
  const now = { fds: most('fds', last), threads: most('threads', last) };
  const judged = minutes.length >= FLAT_FROM;
  const faults = [];
  if (now.fds > then.fds + FDS_APART) faults.push(`${now.fds} files are open, after ${then.fds}`);
  if (now.threads > then.threads) faults.push(`${now.threads} threads, after ${then.threads}`);
  return {
    what: '  open files, and threads',
    measured: `${then.fds} to ${now.fds}, ${then.threads} to ${now.threads}`,
    bound: judged ? 'as in the second quarter' : `none below ${FLAT_FROM} minutes`,
    faults: judged ? faults : [],
  };
}

function judgeTables(minutes) {
  const most = (table) => Math.max(...minutes.map(({ rows }) => rows[table]));
  const show = (table) => `${table} ${most(table)}, then ${minutes.at(-1)?.rows[table]}`;
  return {
    what: '  rows at most',
    measured: Object.keys(TABLES).map(show).join('; '),
    bound: 'none out of its time',
    faults: [], // told of the minute
  };
}

/**
 * When all that ends has been deleted at least once, its place is used again: the last quarter takes
 * no more than the one before. PostgreSQL deletes for good when it likes to.
 */
function judgeSizes(minutes, kind) {
  const size = quarter(minutes);
  const most = (name, list) => Math.max(...list.map((seen) => seen[name]));
  const then = most('size', minutes.slice(-2 * size, -size));
  const now = most('size', minutes.slice(-size));
  const log = most('log', minutes);
  const judged = minutes.length >= SLOPE_FROM;
  const allowed = then * 1.1 + (kind === 'sqlite' ? 1 : 4);
  const faults = [];
  if (judged && now > allowed) faults.push(`${now.toFixed(1)} MiB, after ${then.toFixed(1)}`);
  if (log > MOST_LOG) faults.push(`a log of ${log.toFixed(1)} MiB`);
  return {
    what: '  size of the database, MiB',
    measured: `${then.toFixed(1)} to ${now.toFixed(1)}; its log at most ${log.toFixed(1)}`,
    bound: `the log ${MOST_LOG}; ${judged ? 'a tenth more' : `else none below ${SLOPE_FROM} minutes`}`,
    faults,
  };
}

function describe(
  { rss, most, heap, heapTotal, fds, threads, handles, size, log, rows },
  { counts, odd },
) {
  const tables = Object.entries(rows).map(([table, count]) => `${table} ${count}`);
  return (
    `${counts.requests} requests, ${odd.length} odd; RSS ${rss.toFixed(1)}, at most ${most.toFixed(1)}, heap ${heap.toFixed(1)} of ${heapTotal.toFixed(1)}, ` +
    `database ${size.toFixed(1)}, log ${log.toFixed(1)} MiB; ${fds} fds, ${threads} threads, ` +
    `${handles} handles; ${tables.join(', ')}`
  );
}
