// Clients that go away at each stage of a request: nothing that they held stays held, and what they
// asked for is done as a whole or not at all. Rounds are clients of each stage.
import { randomBytes, randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { bearer, call, json, logIn, PASSWORD, register, tryLogin } from '../client.mjs';
import { damages, DATABASES, holdingSessions, newDatabase, query } from '../databases.mjs';
import { startServer } from '../processes.mjs';
import { metrics, vitals } from '../vitals.mjs';
import { endless, inBatches, until } from '../world.mjs';

const ENVIRONMENT = {
  METRICS: 'open',
  REFRESH_TOKEN_REUSE_INTERVAL: '60s',
  // Some milliseconds a hash, so that there is a time to leave in.
  ARGON2_MEMORY_KIB: '8192',
  ARGON2_TIME: '2',
};
const USERS = 40;
const AT_ONCE = 20;
/** Clients of a stage from which on one must have been seen in it. */
const SEEN_FROM = 100;
/** Milliseconds: some of them wait as long. */
const HASHED_FOR = [5, 100];
/** Milliseconds that the table of sessions is held: far less than anybody waits for it. */
const HELD_FOR = 300;
/** All that go away, and the flood after them: what they took of the hash queue is one share. */
const ADDRESS = '192.0.2.7';
/** As many as may wait for a hash at once from one address. */
const SHARE = 256;
/** Of a server to PostgreSQL; more than these wait for one. */
const CONNECTIONS = 10;
const FDS_APART = 5;
/** MiB. */
const MOST_MEMORY = 64;
/** Milliseconds: what pg has no use for it closes after ten seconds. */
const BACK_WITHIN = 20_000;

export const abortedRequests = { full: 1000, quick: 20, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) rows.push(await onDatabase(kind, rounds, tell));
  return rows;
}

async function onDatabase(kind, rounds, tell) {
  const databaseUrl = await newDatabase(kind);
  const server = await startServer(databaseUrl, ENVIRONMENT);
  const users = await inBatches(USERS, 4, () => register(server));
  const sessions = await inBatches(AT_ONCE, 4, (index) => logIn(server, users[index]));
  const world = { databaseUrl, server, users, sessions, names: [], most: {} };
  const before = vitals(server);
  for (const [stage, leaveAt] of Object.entries(STAGES)) {
    tell(`${stage}, ${kind}`);
    for (let left = rounds; left > 0; left -= AT_ONCE) {
      await leaveAt(world, Math.min(left, AT_ONCE));
      await idle(world);
    }
  }
  tell(`what is left of it, ${kind}`);
  const faults = await whatIsHeld(world, before);
  const after = vitals(server);
  faults.push(...(await whatIsHalf(world)), ...(await damages(databaseUrl)));
  // While so many left, somebody was seen there, or it proves nothing.
  for (const [what, count] of Object.entries(world.most)) {
    if (rounds >= SEEN_FROM && count === 0) faults.push(`nobody left ${what}`);
  }
  if (server.exit() !== undefined) throw new Error(`The server ended: ${server.said()}`);
  faults.push(...server.complaints());
  await server.kill();
  const most = Object.entries(world.most).map(([what, count]) => `${count} ${what}`);
  return {
    what: `clients that go away, ${kind}`,
    measured:
      `${rounds} at each of ${Object.keys(STAGES).length} stages, at most ${most.join(', ')} at once; ` +
      `${before.fds} to ${after.fds} open files, ${(after.rss - before.rss).toFixed(0)} MiB more`,
    bound: `nothing held, nothing half done, +${MOST_MEMORY} MiB`,
    faults,
  };
}

/** At which moment they go; each stage has so many connect, and go together or one by one. */
const STAGES = {
  'in the headers': ({ server, users }, count) =>
    many(count, () => {
      const { text, body } = toToken(loginOf(anyOf(users)));
      return leave(server, text.slice(0, randomInt(1, text.length - body.length)), randomInt(10));
    }),
  'in the body': ({ server, users }, count) =>
    many(count, () => {
      const { text, body } = toToken(loginOf(anyOf(users)));
      return leave(server, text.slice(0, -randomInt(1, body.length)), randomInt(10));
    }),
  /** More than hash at once: most of them wait in the queue. */
  'during the hash': async ({ server, users, names, most }, count) => {
    const leaving = many(count, (index) => {
      if (index % 2)
        return leave(server, toToken(loginOf(anyOf(users))).text, randomInt(...HASHED_FOR));
      const username = `gone-${randomBytes(6).toString('hex')}`;
      names.push(username);
      const { text } = post('/users', { username, password: PASSWORD });
      return leave(server, text, randomInt(...HASHED_FOR));
    });
    await note(most, 'in the hash queue', () => queued(server), leaving);
  },
  'while the database works': ({ databaseUrl, server, users, sessions, most }, count) =>
    holdingSessions(databaseUrl, async () => {
      const leaving = many(count, (index) => {
        const body = index % 2 ? loginOf(anyOf(users)) : renewalOf(sessions[index]);
        return leave(server, toToken(body).text, randomInt(HELD_FOR / 2, HELD_FOR));
      });
      if (databaseUrl.startsWith('sqlite:')) return leaving; // where nobody tells who waits
      await note(most, 'waiting for the database', () => waitingForLocks(databaseUrl), leaving);
    }),
  'in the answer': ({ server }, count) =>
    many(count, () => leave(server, 'GET /docs/swagger-ui.js HTTP/1.1\r\nHost: x\r\n\r\n', 'data')),
};

/** Asks while they leave how many there are, and keeps the most. */
async function note(most, what, ask, leaving) {
  const asking = endless(async () => {
    most[what] = Math.max(most[what] ?? 0, await ask());
    await sleep(5);
  });
  await leaving;
  await asking();
}

const many = (count, work) => Promise.all(Array.from({ length: count }, (_, index) => work(index)));
const anyOf = (list) => list[randomInt(list.length)];
const loginOf = ({ username }) => ({ grant_type: 'password', username, password: PASSWORD });
const renewalOf = ({ refresh_token: token }) => ({
  grant_type: 'refresh_token',
  refresh_token: token,
});
const toToken = (fields) => post('/token', fields);

/** A request as it goes over the wire. */
function post(path, fields) {
  const body = JSON.stringify(fields);
  const text =
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
    `X-Forwarded-For: ${ADDRESS}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
  return { text, body };
}

/** Asks for a token on a connection that is closed after it: a kept one would be an open file. */
function once(server, fields) {
  const { headers, ...init } = json(fields);
  const address = { 'x-forwarded-for': ADDRESS, connection: 'close' };
  return call(server, '/token', { ...init, headers: { ...headers, ...address } });
}

/** Says this, and goes away after some milliseconds or with the first of the answer. */
async function leave({ url }, text, when) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await new Promise((resolve) => socket.write(text, resolve));
  if (when === 'data') await Promise.race([closed, new Promise((r) => socket.once('data', r))]);
  else await sleep(when);
  if (randomInt(2)) socket.destroy();
  else socket.resetAndDestroy();
  await closed;
}

const queued = async (server) => (await metrics(server))('latchkey_hash_queue_length');

/**
 * Waits until no password is hashed and no statement runs, so that what was left does not pile up:
 * it is brought to its end, though nobody waits for it.
 */
const idle = ({ server, databaseUrl }) =>
  until(
    async () => {
      // On SQLite it has the one connection after all who wait for it.
      await call(server, '/health/ready');
      return (await queued(server)) + (await activities(databaseUrl, "state <> 'idle'"));
    },
    0,
    BACK_WITHIN,
  );

/** How many of the server's statements wait for a lock. */
const waitingForLocks = (databaseUrl) => activities(databaseUrl, "wait_event_type = 'Lock'");

/** How many connections of the server to PostgreSQL are like this; on SQLite nobody tells. */
async function activities(databaseUrl, where) {
  if (databaseUrl.startsWith('sqlite:')) return 0;
  const [{ count }] = await query(
    databaseUrl,
    "select count(*) as count from pg_stat_activity where application_name = 'latchkey' " +
      `and datname = current_database() and ${where}`,
  );
  return Number(count);
}

/** Places in the queue, connections to the database, attempts, open files and memory. */
async function whatIsHeld({ databaseUrl, server, users, sessions }, before) {
  const faults = [];
  if ((await idle({ server, databaseUrl })) === undefined) {
    faults.push(`${await queued(server)} hashes are said to run or wait, and nobody asks`);
  }
  const attempts = 'select count(*) as count from attempts where count > 0';
  const held = async () => Number((await query(databaseUrl, attempts))[0].count);
  // What the database failed to give back is given back a second after it works again.
  if ((await until(held, 0, 10_000)) === undefined) {
    faults.push(`${await held()} attempts are held`);
  }
  faults.push(...(await usesEveryConnection(databaseUrl, server, sessions)));
  const flood = await many(SHARE, (index) => once(server, loginOf(users[index % USERS])));
  // Who waited too long for a connection may be told so: that none was lost is known by now.
  const refused = flood.filter(
    ({ status, body }) => status !== 200 && body.code !== 'database_unavailable',
  );
  if (refused.length > 0) {
    const [{ status, body }] = refused;
    faults.push(
      `of ${SHARE} logins at once ${refused.length} failed, one by ${status} ${body.code}`,
    );
  }
  const isBack = async () => vitals(server).fds <= before.fds + FDS_APART;
  if ((await until(isBack, true, BACK_WITHIN)) === undefined) {
    faults.push(`${vitals(server).fds} files are open, ${before.fds} were`);
  }
  const grown = vitals(server).rss - before.rss;
  if (grown > MOST_MEMORY) faults.push(`it takes ${grown.toFixed(0)} MiB more than before`);
  return faults;
}

/**
 * That a refresh token is still good which a client kept who never saw the answer; and that as many
 * requests wait for the one table as there are connections, so that none was lost.
 */
async function usesEveryConnection(databaseUrl, server, sessions) {
  let asked;
  let waiting = 0;
  await holdingSessions(databaseUrl, async () => {
    asked = Promise.all(sessions.map((session) => once(server, renewalOf(session))));
    if (databaseUrl.startsWith('sqlite:')) return sleep(HELD_FOR);
    const all = async () => (waiting = await waitingForLocks(databaseUrl)) === CONNECTIONS;
    await until(all, true, 1_000);
  });
  const faults = (await asked)
    .filter(({ status }) => status !== 200)
    .map(({ status, body }) => `a refresh token that was left is answered ${status} ${body.code}`);
  if (!databaseUrl.startsWith('sqlite:') && waiting !== CONNECTIONS) {
    faults.push(`${waiting} of ${CONNECTIONS} connections to the database are used`);
  }
  return faults;
}

/** Each user and each session is there with its entry in the audit, and can be used and ended. */
async function whatIsHalf({ databaseUrl, server, users, names }) {
  const faults = [];
  const told = (event) => `(select count(*) from audit where event = '${event}')`;
  const [counts] = await query(
    databaseUrl,
    `select (select count(*) from users) as users, ${told('user_created')} as created,
      (select count(*) from sessions) as sessions, ${told('authn_login_success')} as logins`,
  );
  if (Number(counts.users) !== Number(counts.created)) {
    faults.push(`${counts.users} users, and ${counts.created} in the audit`);
  }
  if (Number(counts.sessions) !== Number(counts.logins)) {
    faults.push(`${counts.sessions} sessions, and ${counts.logins} in the audit`);
  }
  const wrong = await inBatches(names.length, 8, async (index) => {
    const user = { username: names[index] };
    if ((await tryLogin(server, user)).status === 200) return undefined;
    const made = await call(server, '/users', json({ ...user, password: PASSWORD }));
    return made.status === 201
      ? undefined
      : `neither there nor free: ${made.status} ${made.body.code}`;
  });
  faults.push(...wrong.filter((fault) => fault !== undefined));
  const kept = await inBatches(users.length, 8, async (index) => {
    const { access_token: token } = await logIn(server, users[index]);
    const others = bearer(token, { method: 'DELETE' });
    const { status } = await call(server, '/sessions/others', others);
    const { text } = await call(server, '/sessions', bearer(token));
    const { length } = JSON.parse(text);
    return status === 204 && length === 1
      ? undefined
      : `of a user ${length} sessions are left, after ${status}`;
  });
  faults.push(...kept.filter((fault) => fault !== undefined));
  return faults;
}
