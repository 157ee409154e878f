// `kill -9` of an import beside a running server: of each batch all is there or nothing, and run
// again it completes.
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLogin } from '../client.mjs';
import { damages, DATABASES, newDatabase, query } from '../databases.mjs';
import { directory, startCommand, startServer } from '../processes.mjs';
import { distribution } from '../table.mjs';
import { until } from '../world.mjs';

const USERS = 5_000;
/** What the command writes in one transaction, with an entry in the audit. */
const BATCH = 1_000;
/** Milliseconds after a batch: about as long as the next one takes. */
const MOST = 50;
/** Milliseconds. */
const WRITTEN_WITHIN = 30_000;
/** Of `PASSWORD`, by bcrypt. */
const HASH = '$2b$04$sWRkEUPlC2VTAeyJmkLnXeiKDfrWy9n94qPUVoT3vwwKR4p5Qf/zG';

export const killImport = { full: 20, quick: 1, run };

async function run({ rounds, tell }) {
  const rows = [];
  for (const kind of DATABASES) rows.push(await onDatabase(kind, rounds, tell));
  return rows;
}

async function onDatabase(kind, rounds, tell) {
  const databaseUrl = await newDatabase(kind);
  const server = await startServer(databaseUrl);
  const faults = [];
  const brought = [];
  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) tell(`${kind}, kill ${round + 1}`);
    const file = fileOfUsers(`${kind}-${round}`);
    const before = await count(databaseUrl);
    const command = startCommand(databaseUrl, 'users', 'import', file.path);
    const written = before.users + randomInt(1, USERS / BATCH) * BATCH;
    const reached = async () => (await count(databaseUrl)).users >= written;
    await until(reached, true, WRITTEN_WITHIN);
    await sleep(randomInt(MOST));
    if ((await command.kill()) === 'SIGKILL') killed++;
    const half = await count(databaseUrl);
    const users = half.users - before.users;
    brought.push(users);
    const wrong = await damages(databaseUrl);
    if (users !== (half.told - before.told) * BATCH) {
      wrong.push(`${users} users are there, and ${half.told - before.told} batches in the audit`);
    }
    wrong.push(...(await again(databaseUrl, file.path, users)));
    const { status } = await tryLogin(server, { username: file.last });
    if (status !== 200) wrong.push(`a login of the last user was answered ${status}`);
    faults.push(...wrong.map((fault) => `kill ${round + 1}: ${fault}`));
  }
  await server.kill();
  return {
    what: `kill -9 of users import, ${kind}`,
    measured: `${killed} of ${rounds} before its end; users by then: ${distribution(brought)} of ${USERS}`,
    bound: 'whole batches, completes when run again',
    faults,
  };
}

async function again(databaseUrl, path, there) {
  const command = startCommand(databaseUrl, 'users', 'import', path);
  const code = await command.end();
  const expected = `${USERS - there} imported, ${there} there already, 0 bad`;
  if (code === 0 && command.said().includes(expected)) return [];
  return [`run again it ended with ${code}: ${command.said()}`];
}

async function count(databaseUrl) {
  const [{ users, told }] = await query(
    databaseUrl,
    `select (select count(*) from users) as users,
      (select count(*) from audit where event = 'users_imported') as told`,
  );
  return { users: Number(users), told: Number(told) };
}

/** Names that no other file has. */
function fileOfUsers(name) {
  const path = join(directory, `${name}.jsonl`);
  const names = Array.from({ length: USERS }, (_, index) => `brought-${name}-${index}`);
  const lines = names.map((username) => JSON.stringify({ username, password_hash: HASH }));
  writeFileSync(path, `${lines.join('\n')}\n`);
  return { path, last: names.at(-1) };
}
