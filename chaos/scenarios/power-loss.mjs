// A power cut, anywhere in the log of what a server under load wrote: what was not flushed is there
// in part, torn at sectors. SQLite recovers, nothing acknowledged is lost, and clients go on. Without
// the flushes of commits, as under `synchronous=NORMAL`, the same cuts have to be seen to lose some.
import { randomInt } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import {
  changePassword,
  claimsOf,
  guarded,
  logOut,
  NEW_PASSWORD,
  refresh,
  register,
  revoke,
  tryLogin,
  tryRegister,
} from '../client.mjs';
import { newDatabase, query, reuses } from '../databases.mjs';
import { directory, startCommand, startServer } from '../processes.mjs';
import { inBatches } from '../world.mjs';
import { crashImage, flushesOfCommits, readLog, requireStrace, tracer } from '../write-log.mjs';

/** Of clients: with as many as these, SQLite copies its log into the database twice. */
const ACTIONS = 100;
/** More of them for each cut. */
const ACTIONS_A_CUT = 2;
const AT_ONCE = 8;
/** On one image of so many a server is started; as many cuts more are in the first start. */
const SERVED = 20;
/** Of the clients, those go on there that were acknowledged last. */
const GOING_ON = 40;

export const powerLoss = { full: 200, quick: 10, run };

async function run({ rounds, tell }) {
  requireStrace();
  const { steps, effects } = await record(ACTIONS + ACTIONS_A_CUT * rounds);
  const ready = effects[0].at;
  tell(`${steps.length} steps, ${effects.length} effects acknowledged`);
  const cuts = spread(ready, steps.length, rounds);
  const found = cuts.map((cut) => cutAt(steps, effects, cut));
  tell('served again');
  const served = cuts.filter((_, i) => i % SERVED === SERVED / 4);
  const wentOn = await inBatches(served.length, 1, (i) => serve(steps, effects, served[i]));
  tell('the first start');
  const early = spread(0, ready, Math.ceil(rounds / SERVED));
  const begun = await inBatches(early.length, 1, (i) => serve(steps, effects, early[i]));
  tell('without the flushes of commits');
  const ignored = flushesOfCommits(steps);
  const weak = cuts.map((cut) => cutAt(steps, effects, cut, ignored));
  const losses = weak.filter(({ lost }) => lost.length > 0).length;
  return [
    {
      what: 'power cut under load, sqlite',
      measured: `${counts(found)} of ${steps.length} steps; ${effects.length} effects acknowledged`,
      bound: 'sound, none lost',
      faults: found.flatMap(({ damaged, lost }) => [...damaged, ...lost]),
    },
    {
      what: '  a server started on it',
      measured: `${served.length} started; ${sum(wentOn, 'asked')} effects asked for`,
      bound: 'clients go on',
      faults: wentOn.flatMap(({ faults }) => faults),
    },
    {
      what: '  power cut of a first start',
      measured: `${early.length} cuts, each started again`,
      bound: 'starts and registers',
      faults: begun.flatMap(({ faults }) => faults),
    },
    {
      what: '  as under synchronous=NORMAL',
      measured: `${counts(weak)}; ${losses} of them lost something`,
      bound: 'sound, some lost',
      faults: [
        ...weak.flatMap(({ damaged }) => damaged),
        ...(losses > 0 ? [] : ['no loss was seen: it would not be seen above either']),
      ],
    },
  ];
}

const sum = (list, name) => list.reduce((total, { [name]: count }) => total + count, 0);

const counts = (images) =>
  `${images.length} cuts, ${sum(images, 'unflushed')} with writes not flushed, ${sum(images, 'torn')} torn`;

/** So many whole numbers from `from` to below `to`, one by chance in each part of the range. */
function spread(from, to, count) {
  const bound = (i) => from + Math.floor(((to - from) * i) / count);
  return Array.from({ length: count }, (_, i) => randomInt(bound(i), bound(i + 1)));
}

/**
 * A server from its first start to its end, under load.
 * @returns the steps of its log, and what was acknowledged, with the step of each answer
 */
async function record(actions) {
  const [, file] = (await newDatabase('sqlite')).split(':');
  const folder = realpathSync(dirname(file));
  const trace = `${folder}.trace`;
  const server = await startServer(`sqlite:${join(folder, NAME)}`, {}, tracer(trace));
  const acknowledged = await load(server, actions);
  await server.kill('SIGTERM');
  const steps = await readLog(trace, folder);
  rmSync(trace);
  refuseIncomplete(steps, folder);
  const answers = new Map(steps.map(({ requestId }, at) => [requestId, at]));
  const effects = acknowledged.map((effect) => ({ ...effect, at: answers.get(effect.requestId) }));
  if (effects.some(({ at }) => at === undefined)) throw new Error('An answer is not in the log');
  return { steps, effects: effects.sort((a, b) => a.at - b.at) };
}

const NAME = 'latchkey.db';

/** @throws where the log does not come to what is on the disk */
function refuseIncomplete(steps, folder) {
  const { files } = crashImage(steps, steps.length, { kept: 1 });
  const found = readdirSync(folder).filter((name) => !name.endsWith('-shm'));
  const same = (name) => files.get(name)?.equals(readFileSync(join(folder, name))) === true;
  if (found.length !== files.size || !found.every(same)) throw new Error('The log is not complete');
}

/** @returns an effect for each answer that acknowledged one */
async function load(server, actions) {
  const acknowledged = [];
  /** Notes what an answer has acknowledged. @returns its body */
  const note = ({ status, body, requestId }, effectOf) => {
    if (status >= 300) throw new Error(`It was answered ${status} ${JSON.stringify(body)}`);
    acknowledged.push({ requestId, ...effectOf(body) });
    return body;
  };
  const users = await inBatches(AT_ONCE, AT_ONCE, () => register(server));
  const refreshing = [];
  const newUser = async (effect) => note(await tryRegister(server), effect);
  const login = async (effect, user = users[randomInt(users.length)]) =>
    note(await tryLogin(server, user), effect);

  const ACTS = [
    () => newUser(registered),
    () => login(loggedIn),
    ...Array.from({ length: 3 }, () => async () => {
      const { refresh_token: token } = refreshing.pop() ?? (await login(loggedIn));
      refreshing.push(note(await refresh(server, token), loggedIn));
    }),
    async () => {
      const session = await login(known);
      note(await revoke(server, session.access_token), () => revoked(session));
    },
    async () => {
      const session = await login(known);
      note(await logOut(server, session.refresh_token), () => loggedOut(session));
    },
    async () => {
      const user = await newUser(known);
      const [before, session] = [await login(known, user), await login(known, user)];
      const answer = await changePassword(server, session.access_token);
      note(answer, () => changed(user, before));
    },
  ];
  await inBatches(actions, AT_ONCE, (i) => ACTS[i % ACTS.length]());
  return acknowledged;
}

// What an answer has acknowledged: what is there of it in the database, and how a server that is
// started again answers whoever relies on it. The later one `of` the same thing replaces the earlier.

const registered = (user) => ({
  of: user.id,
  what: 'a user',
  isThere: ({ users }) => users.has(user.id),
  ask: async (server) => [['login', 200, (await tryLogin(server, user)).status]],
});

/** What is going to end soon, and may have ended already. */
const known = ({ id, refresh_token: token }) => ({
  what: 'a user or a session',
  isThere: ({ users, sessions }) => users.has(id) || sessions.has(named(token).refreshId),
});

/** After a login or a refresh. */
const loggedIn = ({ access_token: access, refresh_token: token }) => {
  const { refreshId, counter } = named(token);
  return {
    of: refreshId,
    what: counter === 0 ? 'a login' : 'a refresh',
    isThere: ({ sessions }) => {
      const row = sessions.get(refreshId);
      return row?.ended_at === null && row.counter >= counter;
    },
    ask: async (server) => [
      ['access token', 200, await guarded(server, access)],
      ['refresh token', 200, (await refresh(server, token)).status],
    ],
  };
};

const revoked = ({ access_token: access }) => ({
  what: 'a revocation',
  isThere: ({ revocations }) => revocations.has(claimsOf(access).jti),
  ask: async (server) => [['revoked access token', 401, await guarded(server, access)]],
});

const loggedOut = ({ access_token: access, refresh_token: token }) => ({
  what: 'a logout',
  isThere: ({ sessions, revocations }) =>
    sessions.get(named(token).refreshId)?.ended_at > 0 && revocations.has(claimsOf(access).sid),
  ask: async (server) => [
    ['access token after the logout', 401, await guarded(server, access)],
    ['refresh token after the logout', 400, (await refresh(server, token)).status],
  ],
});

const changed = (user, before) => ({
  what: 'a changed password',
  isThere: ({ users, sessions }) =>
    users.get(user.id)?.password_version === 2 &&
    sessions.get(named(before.refresh_token).refreshId)?.ended_at > 0,
  ask: async (server) => [
    ['login with the old password', 401, (await tryLogin(server, user)).status],
    ['login with the new password', 200, (await tryLogin(server, user, NEW_PASSWORD)).status],
    ['token of before the change', 401, await guarded(server, before.access_token)],
  ],
});

function named(token = '') {
  const [, , refreshId, counter] = token.split('_');
  return { refreshId, counter: Number(counter) };
}

/** Cuts, has SQLite recover, and looks for all that was acknowledged before. */
function cutAt(steps, effects, cut, ignored) {
  const image = writeImage(steps, cut, ignored);
  const { unflushed, torn } = image;
  const faults = (found) => found.map((fault) => `cut at step ${cut}: ${fault}`);
  const result = { unflushed, torn, damaged: [], lost: [] };
  try {
    const state = recover(image.file);
    if (state.verdict !== 'ok') result.damaged = faults([`integrity_check says ${state.verdict}`]);
    const lost = effects.filter(({ at, isThere }) => at < cut && !isThere(state));
    if (lost.length > 0) result.lost = faults([`${lost.length} lost, at first ${lost[0].what}`]);
  } catch (error) {
    result.damaged = faults([error.message]);
  }
  rmSync(dirname(image.file), { recursive: true });
  return result;
}

function writeImage(steps, cut, ignored) {
  const { files, ...found } = crashImage(steps, cut, { ignored });
  const folder = mkdtempSync(join(directory, 'image-'));
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
  return { file: join(folder, NAME), ...found };
}

function recover(file) {
  const db = new DatabaseSync(file);
  try {
    const all = (sql) => db.prepare(sql).all();
    const byKey = (key, rows) => new Map(rows.map((row) => [row[key], row]));
    return {
      verdict: all('pragma integrity_check')[0].integrity_check,
      users: byKey('id', all('select id, password_version from users')),
      sessions: byKey('refresh_id', all('select refresh_id, counter, ended_at from sessions')),
      revocations: byKey('subject', all('select subject from revocations')),
    };
  } finally {
    db.close();
  }
}

/** Cuts, starts a server on what is there, and has clients go on with what they held. */
async function serve(steps, effects, cut) {
  const { file } = writeImage(steps, cut);
  const url = `sqlite:${file}`;
  const faults = [];
  const held = new Map();
  for (const effect of effects.filter(({ at }) => at < cut)) {
    held.set(effect.of ?? effect.requestId, effect);
  }
  const asked = [...held.values()].filter(({ ask }) => ask !== undefined).slice(-GOING_ON);
  try {
    const server = await startServer(url);
    // As if it were right after the cut: a client whose refresh was written and not answered tries
    // its last token again.
    await query(url, `update sessions set rotated_at = ${Date.now()}`);
    for (const { ask } of asked) {
      const wrong = (await ask(server)).filter(([, wanted, status]) => status !== wanted);
      faults.push(...wrong.map(([what, , status]) => `a ${what} was answered ${status}`));
    }
    await register(server);
    await server.kill('SIGTERM');
    const thefts = await reuses(url);
    if (thefts > 0) faults.push(`${thefts} reuses in the audit`);
    const command = startCommand(url, 'audit', 'verify');
    if ((await command.end()) !== 0) faults.push(`audit verify: ${command.said()}`);
  } catch (error) {
    faults.push(error.message);
  }
  rmSync(dirname(file), { recursive: true });
  return { asked: asked.length, faults: faults.map((fault) => `cut at step ${cut}: ${fault}`) };
}
