// `kill -9` in the midst of logins, refreshes, revocations and changes of accounts: what was
// acknowledged is not lost, and the client that got no answer tries its last token again and is not taken for a thief.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  changePassword,
  deleteAccount,
  disable,
  guarded,
  logIn,
  logOut,
  NEW_PASSWORD,
  refresh,
  register,
  revoke,
  tryLogin,
} from '../client.mjs';
import { damages, DATABASES, newDatabase, query, reuses } from '../databases.mjs';
import { startServer } from '../processes.mjs';
import { readyAgain } from '../table.mjs';
import { endless, inBatches, killUnder, until } from '../world.mjs';

const USERS = 40;
const CLIENTS = 3;
/** More of them: those are of interest that are written and not answered. */
const REFRESHING = 8;
/** To be changed, disabled and deleted, so many of each. */
const ACCOUNTS = 8;
const AT_ONCE = 8;
/** Milliseconds of load before the kill. */
const LOAD = [100, 600];
/** Milliseconds at most until something of each kind is acknowledged. */
const PATIENCE = 5_000;

export const killUnderLoad = { full: 100, quick: 2, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) rows.push(...(await onDatabase(kind, rounds, tell)));
  return rows;
}

async function onDatabase(kind, rounds, tell) {
  const databaseUrl = await newDatabase(kind);
  let server = await startServer(databaseUrl);
  const users = await inBatches(USERS, AT_ONCE, () => register(server));
  const admin = await register(server);
  await query(databaseUrl, `update users set roles = 'admin' where id = '${admin.id}'`);
  const acknowledged = { logins: 0, refreshes: 0, revocations: 0, accounts: 0 };
  let unanswered = 0;
  const starts = [];
  const faults = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) tell(`${kind}, kill ${round + 1}`);
    const done = await loadUntilKilled(server, users, admin);
    server = await startServer(databaseUrl);
    starts.push(server);
    unanswered += await writtenUnanswered(databaseUrl, done.current);
    const wrong = [...(await check(server, done)), ...(await damages(databaseUrl))];
    const thefts = await reuses(databaseUrl);
    if (thefts > 0) wrong.push(`${thefts} reuses in the audit`);
    faults.push(...wrong.map((fault) => `kill ${round + 1}: ${fault}`));
    acknowledged.logins += done.logins.length;
    acknowledged.refreshes += done.refreshes;
    acknowledged.revocations += done.revoked.length + done.loggedOut.length;
    acknowledged.accounts +=
      done.registered.length + done.changed.length + done.disabled.length + done.deleted.length;
  }
  await server.kill();
  const { logins, refreshes, revocations, accounts } = acknowledged;
  return [
    {
      what: `kill -9 under load, ${kind}`,
      measured:
        `${rounds} kills: ${logins} logins, ${refreshes} refreshes, ${revocations} revocations, ` +
        `${accounts} accounts made, changed or ended; ${unanswered} refreshes written and not answered`,
      bound: 'none lost, no reuse seen',
      faults,
    },
    readyAgain(kind, starts),
  ];
}

/** @returns what was answered before the end; `current` is what refreshing clients hold by then */
async function loadUntilKilled(server, users, admin) {
  const done = {
    logins: [],
    refreshes: 0,
    current: [],
    revoked: [],
    loggedOut: [],
    registered: [],
    changed: [],
    disabled: [],
    deleted: [],
    odd: [],
  };
  const { access_token: adminToken } = await logIn(server, admin);
  const accounts = {};
  for (const kind of ['changed', 'disabled', 'deleted']) {
    accounts[kind] = await inBatches(ACCOUNTS, AT_ONCE, async () => {
      const user = await register(server);
      return { user, session: await logIn(server, user), other: await logIn(server, user) };
    });
  }
  const anyUser = () => users[randomInt(users.length)];
  const sessions = await inBatches(REFRESHING, AT_ONCE, () => logIn(server, anyUser()));
  const expect = ({ status, body }, wanted) => {
    if (status !== wanted) done.odd.push(`${status} ${body.code} under load`);
    return status === wanted;
  };

  const loggingIn = async () => {
    const answer = await tryLogin(server, anyUser());
    if (expect(answer, 200)) done.logins.push(answer.body);
  };
  const refreshing = (index) => async () => {
    const answer = await refresh(server, sessions[index].refresh_token);
    if (!expect(answer, 200)) return;
    sessions[index] = answer.body;
    done.refreshes++;
  };
  const revoking = async () => {
    const session = await logIn(server, anyUser());
    if (expect(await revoke(server, session.access_token), 200)) done.revoked.push(session);
  };
  const loggingOut = async () => {
    const session = await logIn(server, anyUser());
    if (expect(await logOut(server, session.refresh_token), 204)) done.loggedOut.push(session);
  };
  const registering = async () => {
    done.registered.push(await register(server));
  };
  /** One who does something to one of its own accounts after the other, and notes to which. */
  const ending = (kind, wanted, act) => async () => {
    const account = accounts[kind].pop();
    if (account === undefined) return sleep(20);
    if (expect(await act(account), wanted)) done[kind].push(account);
  };

  const clients = [
    ...Array.from({ length: CLIENTS }, () => loggingIn),
    ...Array.from({ length: REFRESHING }, (_, index) => refreshing(index)),
    revoking,
    revoking,
    loggingOut,
    registering,
    ending('changed', 204, ({ other }) => changePassword(server, other.access_token)),
    ending('disabled', 200, ({ user }) => disable(server, adminToken, user.id)),
    ending('deleted', 204, ({ session }) => deleteAccount(server, session.access_token)),
  ].map(endless);
  await sleep(randomInt(...LOAD));
  const { revoked, changed, disabled, deleted } = done;
  const enough = () => [revoked, changed, disabled, deleted].every((list) => list.length > 0);
  // On a machine that has more to do, a while longer: what was not acknowledged proves nothing.
  await until(enough, true, PATIENCE);
  done.odd.push(...(await killUnder(server, clients)));
  done.current = sessions;
  return done;
}

async function check(server, done) {
  const { logins, current, revoked, loggedOut, registered, changed, disabled, deleted } = done;
  const faults = [...done.odd];
  const expect = async (what, wanted, asked) => {
    const status = await asked;
    if (status !== wanted) faults.push(`${what} was answered ${status}`);
  };
  const refreshed = async ({ refresh_token: token }) => (await refresh(server, token)).status;
  const login = async (user, password) => (await tryLogin(server, user, password)).status;
  const checks = [
    ...current.map((session) => () => expect('the last refresh token', 200, refreshed(session))),
    ...logins.map((session) => async () => {
      const { access_token: token } = session;
      await expect('the access token of a login', 200, guarded(server, token));
      await expect('the refresh token of a login', 200, refreshed(session));
    }),
    ...[...revoked, ...loggedOut].map(
      (session) => () => expect('a revoked token', 401, guarded(server, session.access_token)),
    ),
    ...loggedOut.map((session) => () => expect('a session that ended', 400, refreshed(session))),
    ...registered.map((user) => () => expect('the login of a new user', 200, login(user))),
    ...changed.map(({ user }) => async () => {
      await expect('a login with the old password', 401, login(user));
      await expect('a login with the new password', 200, login(user, NEW_PASSWORD));
    }),
    ...[...disabled, ...deleted].map(
      ({ user }) =>
        () =>
          expect('the login of a user who is gone', 401, login(user)),
    ),
    ...[...changed, ...disabled, ...deleted].map(({ session }) => async () => {
      await expect('a token of before', 401, guarded(server, session.access_token));
      await expect('a refresh token of before', 400, refreshed(session));
    }),
  ];
  await inBatches(checks.length, AT_ONCE, (index) => checks[index]());
  return faults;
}

/** Of the tokens that clients hold, how many have a successor that they were not told. */
async function writtenUnanswered(databaseUrl, sessions) {
  const held = new Map(
    sessions.map(({ refresh_token: token }) => {
      const [, , id, counter] = token.split('_');
      return [id, Number(counter)];
    }),
  );
  const ids = [...held.keys()].map((id) => `'${id}'`).join();
  const rows = await query(
    databaseUrl,
    `select refresh_id, counter from sessions where refresh_id in (${ids})`,
  );
  return rows.filter((row) => Number(row.counter) > held.get(row.refresh_id)).length;
}
