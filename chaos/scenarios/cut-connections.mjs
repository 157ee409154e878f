// Every connection to PostgreSQL is cut at once, again and again: requests in flight may be told to
// try again, the next one works, and no guarded request notices.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { guarded, logIn, refresh, register, tryLogin } from '../client.mjs';
import { newDatabase } from '../databases.mjs';
import { startServer } from '../processes.mjs';
import { startProxy } from '../proxy.mjs';
import { endless } from '../world.mjs';

const CLIENTS = 4;
/** Milliseconds in which the server hears that its connections are closed. */
const HEARD_AFTER = 30;

export const cutConnections = { full: 100, quick: 20, run };

async function run({ rounds, tell }) {
  const proxy = await startProxy(await newDatabase('postgres'));
  const server = await startServer(proxy.url);
  const user = await register(server);
  const session = await logIn(server, user);
  const faults = [];
  const inFlight = {};
  let cuts = 0;
  let asked = 0;

  const loggingIn = async () => {
    const { status, body } = await tryLogin(server, user);
    const answer = `${status} ${body.code ?? ''}`.trim();
    inFlight[answer] = (inFlight[answer] ?? 0) + 1;
    if (status !== 200 && status !== 503) faults.push(`a login in flight was answered ${answer}`);
  };
  const asking = endless(async () => {
    const status = await guarded(server, session.access_token);
    asked++;
    if (status !== 200) faults.push(`a guarded request was answered ${status}`);
    await sleep(5);
  });
  for (let round = 0; round < rounds; round++) {
    if (round % 20 === 0) tell(`cut ${round + 1}`);
    const clients = Array.from({ length: CLIENTS }, () => endless(loggingIn));
    await sleep(randomInt(20, 120));
    cuts += proxy.cut();
    await Promise.all(clients.map((stop) => stop()));
    await sleep(HEARD_AFTER);
    // By both ways to write: with a proof of the password, and by a refresh token.
    const next = [await tryLogin(server, user), await refresh(server, session.refresh_token)];
    for (const { status, body } of next) {
      if (status !== 200) faults.push(`after cut ${round + 1} came ${status} ${body.code}`);
    }
    session.refresh_token = next[1].body.refresh_token ?? session.refresh_token;
    if (server.exit() !== undefined) throw new Error(`The server ended: ${server.said()}`);
  }
  await asking();
  await server.kill();
  proxy.close();
  const answers = Object.entries(inFlight).map(([answer, count]) => `${count} x ${answer}`);
  return [
    {
      what: 'all connections to PostgreSQL cut',
      measured: `${rounds} cuts of ${cuts} connections; in flight: ${answers.join(', ')}; ${asked} guarded`,
      bound: 'the next request works',
      faults,
    },
  ];
}
