// `kill -9` while fifty register at once: who was told that they are registered is, who was told
// nothing is or is not, and nobody is half of it.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newName, tryLogin, tryRegister } from '../client.mjs';
import { damages, DATABASES, newDatabase, query } from '../databases.mjs';
import { startCommand, startServer } from '../processes.mjs';
import { readyAgain } from '../table.mjs';
import { endless, killUnder, until } from '../world.mjs';

const WRITERS = 50;
/** Milliseconds of registrations before the kill. */
const LOAD = 200;
/** Milliseconds at most until the first one is acknowledged. */
const PATIENCE = 5_000;

export const killRegistrations = { full: 500, quick: 2, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) rows.push(...(await onDatabase(kind, rounds, tell)));
  return rows;
}

async function onDatabase(kind, rounds, tell) {
  const databaseUrl = await newDatabase(kind);
  let server = await startServer(databaseUrl);
  const starts = [];
  const faults = [];
  const total = { acknowledged: 0, unanswered: 0 };
  for (let round = 1; round <= rounds; round++) {
    if (round % 50 === 1) tell(`${kind}, kill ${round}`);
    const before = await lastEntry(databaseUrl);
    const { asked, acknowledged, odd } = await registerUntilKilled(server);
    server = await startServer(databaseUrl);
    starts.push(server);
    const found = await idsOf(databaseUrl, asked);
    const lost = [...acknowledged].filter(([username, id]) => found.get(username) !== id);
    const wrong = [...odd, ...(await damages(databaseUrl))];
    if (lost.length > 0) wrong.push(`${lost.length} who were acknowledged are lost`);
    const told = await toldSince(databaseUrl, before);
    const there = new Set(found.values());
    const halves = [...told, ...there].filter((id) => !told.has(id) || !there.has(id));
    if (halves.length > 0) wrong.push(`${halves.length} are in only one of users and audit`);
    // The last of them, whom perhaps nobody told: who is there is whole.
    const [username] = [...found.keys()].toReversed();
    const { status } = await tryLogin(server, { username });
    if (status !== 200) wrong.push(`the login of one who is there was answered ${status}`);
    faults.push(...wrong.map((fault) => `kill ${round}: ${fault}`));
    total.acknowledged += acknowledged.size;
    total.unanswered += found.size - acknowledged.size;
  }
  await server.kill();
  const verify = startCommand(databaseUrl, 'audit', 'verify');
  if ((await verify.end()) !== 0) faults.push(`audit verify: ${verify.said()}`);
  return [
    {
      what: `kill -9 under ${WRITERS} registrations, ${kind}`,
      measured:
        `${rounds} kills: ${total.acknowledged} acknowledged, ` +
        `${total.unanswered} written and not answered`,
      bound: 'none lost, none half there',
      faults,
    },
    readyAgain(kind, starts),
  ];
}

/** @returns the names that were sent, in that order, and of those acknowledged their ids */
async function registerUntilKilled(server) {
  const asked = [];
  const acknowledged = new Map();
  const odd = [];
  const registering = async () => {
    const username = newName();
    asked.push(username);
    const { status, body } = await tryRegister(server, username);
    if (status === 201) acknowledged.set(username, body.id);
    else odd.push(`a registration was answered ${status} ${body.code}`);
  };
  const writers = Array.from({ length: WRITERS }, () => endless(registering));
  await until(() => acknowledged.size > 0, true, PATIENCE);
  await sleep(randomInt(LOAD));
  odd.push(...(await killUnder(server, writers)));
  return { asked, acknowledged, odd };
}

const lastEntry = async (databaseUrl) =>
  (await query(databaseUrl, 'select coalesce(max(id), 0) as id from audit'))[0].id;

/** Of whom the audit tells that they were registered, after that entry. @returns their ids */
async function toldSince(databaseUrl, entry) {
  const rows = await query(
    databaseUrl,
    `select user_id from audit where event = 'user_created' and id > ${entry}`,
  );
  return new Set(rows.map((row) => row.user_id));
}

/** Who of these is there, in the order that they were asked for. */
async function idsOf(databaseUrl, usernames) {
  const names = usernames.map((username) => `'${username}'`).join();
  const rows = await query(
    databaseUrl,
    `select username, id from users where username in (${names})`,
  );
  const ids = new Map(rows.map(({ username, id }) => [username, id]));
  return new Map(usernames.filter((name) => ids.has(name)).map((name) => [name, ids.get(name)]));
}
