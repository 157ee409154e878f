// What sessions and revocations cost.
import { accounts, oneToken, refreshTokens } from './accounts.mjs';
import { inTurns, refuseFailures } from './figures.mjs';
import { directory, SERVER, start } from './processes.mjs';
import { median, ratio, spread } from './table.mjs';

const CONNECTIONS = 50;
/** Refreshes at the same time: enough that the server is never idle. */
const REFRESHING = 16;
/** Who has the sessions that are only there. */
const OWNERS = 1000;

/** The protected route with many revocations in memory, against the same with none. */
export async function revocations({ servers, token, settings, plan, progress }) {
  progress(`${plan.revocations} revocations`);
  const { app, load } = servers;
  // On a database of its own: the other server would read them too.
  const DATABASE_URL = `sqlite:${directory}/revocations.db`;
  const revoked = await start('app.mjs', SERVER, { ...settings, DATABASE_URL });
  const cases = {
    none: { server: app, token },
    many: { server: revoked, token: await oneToken(revoked, await accounts(revoked)) },
  };
  await revoked.ask('revokeSessions', { count: plan.revocations });
  const rates = await inTurns(cases, plan, progress, 'revocations', async (one, seconds) => {
    const before = await one.server.ask('cpu');
    const { count, statuses, errors } = await load.ask('run', {
      url: `${one.server.url}/secure-data`,
      token: one.token,
      connections: CONNECTIONS,
      seconds,
    });
    refuseFailures(statuses, errors);
    return count / ((await one.server.ask('cpu')) - before);
  });
  await revoked.stop();
  const ratios = rates.many.map((rate, round) => rate / rates.none[round]);
  return [
    [
      `protected route, ${plan.revocations} revocations / none`,
      spread(ratios, ratio),
      '>= 0.95',
      median(ratios) >= 0.95,
    ],
  ];
}

/** Refreshes against signing and one committed update, on the same core and disk. */
export async function refreshes({ servers, users, plan, progress }) {
  const { app, bareRefresh, load } = servers;
  let tokens = await refreshTokens(app, users, REFRESHING);
  const cases = {
    bare: (seconds) => bareRefresh.ask('rate', { seconds }),
    refresh: async (seconds) => {
      const what = { url: `${app.url}/token`, seconds, refreshTokens: tokens };
      const { rate, refreshTokens: next } = await load.ask('refresh', what);
      tokens = next;
      return rate;
    },
  };
  const rates = await inTurns(cases, plan, progress, 'refreshes', (run, seconds) => run(seconds));
  const ratios = rates.refresh.map((rate, round) => rate / rates.bare[round]);
  const whole = (rate) => rate.toFixed(0);
  return [
    [
      'refreshes / signing and one committed update',
      spread(ratios, ratio),
      '>= 0.50',
      median(ratios) >= 0.5,
    ],
    ['  refreshes a second', spread(rates.refresh, whole)],
  ];
}

/** How long one refresh takes among many sessions, against among a thousand. */
export async function manySessions({ servers, users, settings, plan, progress }) {
  const { load } = servers;
  const few = await withSessions('few', 1000);
  progress(`${plan.sessions} sessions`);
  const many = await withSessions('many', plan.sessions);
  const cases = { few, many };
  const times = await inTurns(cases, plan, progress, 'sessions', async (one, seconds) => {
    const what = { url: `${one.server.url}/token`, seconds, refreshTokens: one.tokens };
    const { p50, refreshTokens: next } = await load.ask('refresh', what);
    one.tokens = next;
    return p50;
  });
  await few.server.stop();
  await many.server.stop();
  const ratios = times.many.map((time, round) => time / times.few[round]);
  return [
    [
      `latency of a refresh, ${plan.sessions} sessions / 1000`,
      spread(ratios, ratio),
      '<= 1.30',
      median(ratios) <= 1.3,
    ],
    ['  among a thousand', spread(times.few, (time) => `${time.toFixed(1)} ms`)],
  ];

  async function withSessions(name, count) {
    const DATABASE_URL = `sqlite:${directory}/sessions-${name}.db`;
    const server = await start('app.mjs', SERVER, { ...settings, DATABASE_URL });
    const [first] = users.list;
    await fetch(`${server.url}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: first[0], password: first[1] }),
    });
    await server.ask('openSessions', { count, users: OWNERS });
    return { server, tokens: await refreshTokens(server, { list: [first] }, 1) };
  }
}
