// `kill -9` of the command that rotates keys, or of the server meanwhile: afterwards one key signs
// and one stands by, refresh tokens work, and new access tokens are accepted.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { call, guarded, logIn, refresh, register } from '../client.mjs';
import { damages, DATABASES, newDatabase, query, reuses } from '../databases.mjs';
import { openOperator } from '../operator.mjs';
import { startCommand, startServer } from '../processes.mjs';
import { readyAgain } from '../table.mjs';
import { soon } from '../world.mjs';

/** Milliseconds in which a server has read the keys again. */
const KNOWN_AFTER = 700;
/** Milliseconds around the moment of the commit. */
const AROUND = 40;
const ROTATE = ['keys', 'rotate', '--compromised'];

export const killDuringRotation = { full: 100, quick: 1, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) {
    const databaseUrl = await newDatabase(kind);
    rows.push(await killCommands(kind, databaseUrl, rounds, tell));
    rows.push(...(await killServers(kind, databaseUrl, rounds, tell)));
  }
  return rows;
}

async function killCommands(kind, databaseUrl, rounds, tell) {
  const server = await startServer(databaseUrl);
  const session = await logIn(server, await register(server));
  // Milliseconds after which about half of the commands have rotated: it closes in on the commit.
  let aim = (await timeOf(databaseUrl)) * 0.9;
  const faults = [];
  let killed = 0;
  let rotated = 0;
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) tell(`the command, ${kind}, kill ${round + 1}`);
    const before = await signingKid(databaseUrl);
    const command = startCommand(databaseUrl, ...ROTATE);
    await sleep(Math.max(0, aim + randomInt(-AROUND, AROUND)));
    if ((await command.kill()) === 'SIGKILL') killed++;
    const late = (await signingKid(databaseUrl)) !== before;
    aim += late ? -AROUND / 2 : AROUND / 2;
    if (late) rotated++;
    await sleep(KNOWN_AFTER);
    const wrong = await check(databaseUrl, server, session);
    faults.push(...wrong.map((fault) => `kill ${round + 1}: ${fault}`));
  }
  await server.kill();
  return {
    what: `kill -9 of keys rotate --compromised, ${kind}`,
    measured: `${killed} of ${rounds} before its end; ${rotated} had rotated`,
    bound: 'one key active, one standby',
    faults,
  };
}

async function killServers(kind, databaseUrl, rounds, tell) {
  const operator = await openOperator(databaseUrl);
  let server = await startServer(databaseUrl);
  const session = await logIn(server, await register(server));
  const faults = [];
  const starts = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) tell(`the server, ${kind}, kill ${round + 1}`);
    // It signs while the key is withdrawn; unanswered, it may have rotated the refresh token.
    await Promise.all([
      operator.replaceCompromisedKey(),
      soon(() => server.kill(), 30),
      refresh(server, session.refresh_token).then(
        ({ body }) => (session.refresh_token = body.refresh_token ?? session.refresh_token),
        () => undefined,
      ),
    ]);
    server = await startServer(databaseUrl);
    starts.push(server);
    const wrong = await check(databaseUrl, server, session);
    faults.push(...wrong.map((fault) => `kill ${round + 1}: ${fault}`));
  }
  await server.kill();
  await operator.close();
  return [
    {
      what: `kill -9 of the server while keys rotate, ${kind}`,
      measured: `${rounds} kills`,
      bound: 'one key active, one standby',
      faults,
    },
    readyAgain(kind, starts),
  ];
}

async function check(databaseUrl, server, session) {
  const faults = await damages(databaseUrl);
  const keys = await livingKeys(databaseUrl);
  const standbys = keys.filter(({ activate_at: at }) => at === null).length;
  if (keys.length !== 2 || standbys !== 1) {
    faults.push(`${keys.length} keys, ${standbys} of them standby`);
  }
  const published = (await call(server, '/.well-known/jwks.json')).body.keys;
  if (published?.length !== 2) faults.push(`${published?.length} keys are published`);
  const answer = await refresh(server, session.refresh_token);
  if (answer.status !== 200) return [...faults, `a refresh was answered ${answer.status}`];
  session.refresh_token = answer.body.refresh_token;
  const status = await guarded(server, answer.body.access_token);
  if (status !== 200) faults.push(`a new access token was answered ${status}`);
  const thefts = await reuses(databaseUrl);
  if (thefts > 0) faults.push(`${thefts} reuses in the audit`);
  return faults;
}

const livingKeys = (databaseUrl) =>
  query(databaseUrl, 'select kid, activate_at from signing_keys where withdrawn_at is null');

const signingKid = async (databaseUrl) =>
  (await livingKeys(databaseUrl)).find(({ activate_at: at }) => at !== null)?.kid;

/** Milliseconds that the command takes when nobody kills it. */
async function timeOf(databaseUrl) {
  const from = performance.now();
  const command = startCommand(databaseUrl, ...ROTATE);
  const code = await command.end();
  if (code !== 0) throw new Error(`keys rotate ended with ${code}: ${command.said()}`);
  return performance.now() - from;
}
