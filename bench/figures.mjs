// What is measured, and what each figure has to be. Every function returns rows of the table.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiToken, oneToken } from './accounts.mjs';
import { directory, residentMemory, startServer } from './processes.mjs';
import { median, ratio, spread } from './table.mjs';

const CONNECTIONS = 50;
/** Twice what the server remembers of verified tokens: going round, it knows none of them. */
const TOKENS = 20_000;

/**
 * The protected route against the same one unguarded, and against `node:http` alone. Each is sent
 * the same request, token and all.
 */
export async function requests({ servers, token, plan, progress }) {
  const { bare, app, hs256, load } = servers;
  const cases = {
    bare: { server: bare, url: bare.url, token },
    open: { server: app, url: `${app.url}/open-data`, token },
    guarded: { server: app, url: `${app.url}/secure-data`, token },
    apiToken: { server: app, url: `${app.url}/secure-data`, token: await apiToken(app, token) },
    hs256: { server: hs256, url: `${hs256.url}/secure-data`, tokens: await issue(hs256, 'hs256') },
    es256: { server: app, url: `${app.url}/secure-data`, tokens: await issue(app, 'es256') },
  };
  // A second of the server's CPU, not of the clock: what else runs on its core does not count.
  const perSecond = async ({ server, ...what }, seconds) => {
    const before = await server.ask('cpu');
    const { count, statuses, errors } = await load.ask('run', {
      ...what,
      connections: CONNECTIONS,
      seconds,
    });
    refuseFailures(statuses, errors);
    return count / ((await server.ask('cpu')) - before);
  };
  const rates = await inTurns(cases, plan, progress, 'requests', perSecond);
  const against = (name, other) => rates[name].map((rate, round) => rate / rates[other][round]);
  const row = (figure, name, other, target) => {
    const values = against(name, other);
    const reached = target === undefined ? undefined : median(values) >= target;
    return [figure, spread(values, ratio), target && `>= ${ratio(target)}`, reached];
  };
  const thousands = (name) => spread(rates[name], (rate) => (rate / 1000).toFixed(1));
  return [
    row('protected route, one token / unguarded route', 'guarded', 'open', 0.9),
    row('  another token each time, HS256 / unguarded', 'hs256', 'open'),
    row('  another token each time, ES256 / unguarded', 'es256', 'open'),
    row('protected route, one API token / one JWT', 'apiToken', 'guarded', 0.9),
    row('protected route, one token / bare node:http', 'guarded', 'bare', 0.45),
    ['  thousand requests per CPU second, bare', thousands('bare')],
    ['  the unguarded route', thousands('open')],
    ['  the protected route, one token', thousands('guarded')],
  ];
}

/** Logins against argon2id alone, on the same core: a second of the clock, waiting and all. */
export async function logins({ servers, users, plan, progress }) {
  const { app, argon2, bareLogin, load } = servers;
  await bareLogin.ask('createUsers', { users: users.list });
  const through = async ({ url }, seconds) => {
    const { rate, statuses, errors } = await load.ask('run', {
      url: `${url}/token`,
      users: users.file,
      connections: 8,
      seconds,
    });
    refuseFailures(statuses, errors);
    return rate;
  };
  const cases = {
    argon2: (seconds) => argon2.ask('rate', { seconds }),
    bare: (seconds) => through(bareLogin, seconds),
    logins: async (seconds) => {
      const rate = await through(app, seconds);
      await oneToken(app, users);
      return rate;
    },
  };
  const turns = { ...plan, seconds: plan.loginSeconds };
  const rates = await inTurns(cases, turns, progress, 'logins', (run, seconds) => run(seconds));
  const against = (name, other) => rates[name].map((rate, round) => rate / rates[other][round]);
  const ratios = against('logins', 'argon2');
  const whole = (rate) => rate.toFixed(0);
  return [
    ['logins / bare argon2id', spread(ratios, ratio), '>= 0.90', median(ratios) >= 0.9],
    [
      '  the same writes by hand on node:http / bare argon2id',
      spread(against('bare', 'argon2'), ratio),
    ],
    ['  logins / these', spread(against('logins', 'bare'), ratio)],
    ['  logins a second', spread(rates.logins, whole)],
    ['  argon2id a second', spread(rates.argon2, whole)],
  ];
}

/** How long the slowest in a hundred requests wait while 200 logins at once are worked on. */
export async function flood({ servers, users, token, plan, progress }) {
  const { app, load, otherLoad } = servers;
  const guarded = (seconds) =>
    load.ask('run', { url: `${app.url}/secure-data`, token, connections: 10, seconds });
  progress('latency, idle');
  const idle = await guarded(plan.floodSeconds / 2);
  progress('latency, during a flood of 200 logins at once');
  const flooding = otherLoad.ask('run', {
    url: `${app.url}/token`,
    users: users.file,
    connections: 200,
    seconds: plan.floodSeconds,
  });
  await sleep(500);
  const busy = await guarded(plan.floodSeconds - 1);
  const logins = await flooding;
  await oneToken(app, users);
  refuseFailures(idle.statuses, idle.errors);
  const limit = Math.max(25, 10 * idle.p99);
  const milliseconds = (value) => `${value.toFixed(1)} ms`;
  const all = ({ statuses, errors }) =>
    [...statuses, ...(errors ? [['errors', errors]] : [])]
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ');
  return [
    ['p99 of the protected route, idle', milliseconds(idle.p99)],
    [
      '  during 200 logins at once',
      milliseconds(busy.p99),
      `<= ${milliseconds(limit)}`,
      busy.p99 <= limit,
    ],
    ['  its answers', all(busy), 'all 200', onlyOk(busy)],
    ["  the logins' answers", all(logins), 'all 200', onlyOk(logins)],
  ];
}

/**
 * What the program itself holds, on every core: at rest since the run began (V8 takes half a
 * minute to give back what the start needed), and at most while it works.
 */
export async function memory({ servers, users, token, plan, progress }) {
  progress('memory');
  const { url, pid } = servers.resting;
  const mebibytes = (value) => `${value.toFixed(0)} MiB`;
  const idle = residentMemory(pid);
  let most = 0;
  const sampling = setInterval(() => (most = Math.max(most, residentMemory(pid))), 50);
  const load = (what) => servers.load.ask('run', { seconds: plan.memorySeconds / 3, ...what });
  await load({ url: `${url}/secure-data`, token, connections: CONNECTIONS });
  await load({ url: `${url}/token`, users: users.file, connections: 200 });
  const working = most;
  const tokens = join(directory, 'es256.json');
  await load({ url: `${url}/secure-data`, tokens, connections: CONNECTIONS });
  clearInterval(sampling);
  await servers.resting.stop();
  return [
    ['memory of the server at rest', mebibytes(idle), '<= 130 MiB', idle <= 130],
    ['  one token, then 200 logins at once', mebibytes(working), '<= 220 MiB', working <= 220],
    ['  then another token each time', mebibytes(most)],
  ];
}

/** From starting the program to its first 200, with a database and without one yet. */
export async function startTime({ settings, plan, progress }) {
  const times = { existing: [], fresh: [] };
  for (let round = 0; round < plan.starts; round++) {
    progress(`start ${round + 1} of ${plan.starts}`);
    for (const [kind, database] of [
      ['existing', settings.DATABASE_URL],
      ['fresh', `sqlite:${directory}/fresh-${round}.db`],
    ]) {
      const { took, stop } = await startServer({ ...settings, DATABASE_URL: database });
      times[kind].push(took);
      await stop();
    }
  }
  const seconds = (value) => `${value.toFixed(2)} s`;
  return Object.entries(times).map(([kind, values]) => [
    `start to the first 200, ${kind} database`,
    spread(values, seconds),
    '<= 1.00 s',
    median(values) <= 1,
  ]);
}

/**
 * Each case once a round, in alternating order, after one round that warms them up: V8 compiles well
 * only what has run for a while, and a server runs for weeks.
 */
export async function inTurns(cases, { rounds, seconds, warmSeconds }, progress, what, run) {
  const rates = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  const order = Object.entries(cases);
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? `${what}: warming up` : `${what}: round ${round} of ${rounds}`);
    for (const [name, case_] of round % 2 === 0 ? order : order.toReversed()) {
      const rate = await run(case_, round === 0 ? warmSeconds : seconds);
      if (round > 0) rates[name].push(rate);
    }
  }
  return rates;
}

async function issue(server, name) {
  const file = join(directory, `${name}.json`);
  await server.ask('issueTokens', { count: TOKENS, file });
  return file;
}

const onlyOk = ({ statuses, errors }) =>
  errors === 0 && statuses.every(([status]) => status === '200');

/** A fast refusal is not a fast answer. */
export function refuseFailures(statuses, errors) {
  if (!onlyOk({ statuses, errors })) {
    throw new Error(`Not every answer was 200: ${JSON.stringify({ statuses, errors })}`);
  }
}
