// `kill -9` of a move to PostgreSQL: no server starts on half of it, run again it completes, and the
// clients of before go on.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { guarded, logIn, refresh, register, revoke } from '../client.mjs';
import { newDatabase, query, write } from '../databases.mjs';
import { startCommand, startServer } from '../processes.mjs';
import { distribution } from '../table.mjs';
import { inBatches, until } from '../world.mjs';

const CLIENTS = 5;
/** Beside those of the clients. */
const SESSIONS = 10_000;
/** What the command writes in one transaction. */
const BATCH = 2_000;
/** Milliseconds after a batch: about as long as the next one takes. */
const MOST = 80;
/** Milliseconds. */
const WRITTEN_WITHIN = 30_000;

export const killCopy = { full: 20, quick: 1, run };

async function run({ rounds, tell }) {
  const source = await installation();
  const faults = [];
  const copied = [];
  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) tell(`kill ${round + 1}`);
    const target = await newDatabase('postgres');
    const command = startCommand(source.url, 'db', 'copy', source.url, target);
    const written = randomInt(1, SESSIONS / BATCH) * BATCH;
    await until(async () => (await sessions(target)) >= written, true, WRITTEN_WITHIN);
    await sleep(randomInt(MOST));
    const end = await command.kill();
    if (end === 'SIGKILL') killed++;
    if (typeof end === 'number' && end !== 0) throw new Error(`It ended: ${command.said()}`);
    const half = await sessions(target);
    copied.push(half);
    const wrong = half < source.sessions ? await checkHalf(source, target, half) : [];
    wrong.push(...(await again(source, target)));
    faults.push(...wrong.map((fault) => `kill ${round + 1}: ${fault}`));
  }
  return [
    {
      what: 'kill -9 of db copy',
      measured: `${killed} of ${rounds} before its end; sessions by then: ${distribution(copied)} of ${source.sessions}`,
      bound: 'whole batches, completes when run again',
      faults,
    },
  ];
}

/** A stopped one, with clients who hold tokens of it. */
async function installation() {
  const url = await newDatabase('sqlite');
  const server = await startServer(url);
  const user = await register(server);
  const held = await inBatches(CLIENTS, 1, () => logIn(server, user));
  const revoked = await logIn(server, user);
  await revoke(server, revoked.access_token);
  await server.kill('SIGTERM');
  write(
    url,
    `insert into sessions (id, user_id, scopes, auth_time, refresh_id, counter, rotated_at,
      idle_expires_at, expires_at, access_expires_at)
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${SESSIONS})
    select lower(hex(randomblob(16))), '${user.id}', 'profile', i, lower(hex(randomblob(16))), i,
      i, i, i, i from n`,
  );
  const secretFile = `${url.slice('sqlite:'.length)}.key-encryption-secret`;
  const environment = { KEY_ENCRYPTION_SECRET: readFileSync(secretFile, 'utf8').trim() };
  return { url, environment, held, revoked, sessions: SESSIONS + CLIENTS + 1 };
}

/** None until the table is there. */
async function sessions(target) {
  const rows = await query(target, 'select count(*) as count from sessions').catch(() => []);
  return Number(rows[0]?.count ?? 0);
}

async function checkHalf({ environment }, target, half) {
  const faults = half % BATCH === 0 ? [] : [`${half} sessions are there`];
  try {
    const server = await startServer(target, environment);
    await server.kill();
    return [...faults, 'a server started on half of it'];
  } catch (error) {
    if (error.message.includes('is half of a copy')) return faults;
    return [...faults, error.message];
  }
}

async function again({ url, environment, held, revoked }, target) {
  const command = startCommand(url, 'db', 'copy', url, target);
  const code = await command.end();
  if (code !== 0 || !command.said().includes('counts and checksums are equal')) {
    return [`run again it ended with ${code}: ${command.said()}`];
  }
  const faults = [];
  const server = await startServer(target, environment);
  for (const session of held) {
    const statuses = [
      await guarded(server, session.access_token),
      (await refresh(server, session.refresh_token)).status,
    ];
    if (statuses.some((status) => status !== 200)) faults.push(`a client was answered ${statuses}`);
  }
  const status = await guarded(server, revoked.access_token);
  if (status !== 401) faults.push(`a revoked token was answered ${status}`);
  await server.kill();
  return faults;
}
