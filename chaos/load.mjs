// What users, programs and strangers do all day, at a steady rate; each answer is held against what
// is due at that moment.
import { randomBytes, randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bearer,
  call,
  changePassword,
  deleteAccount,
  json,
  logOut,
  NEW_PASSWORD,
  PASSWORD,
  refresh,
  register,
  revoke,
  tryLogin,
} from './client.mjs';
import { inBatches } from './world.mjs';

const USERS = 40;
/** Sessions that clients go on with; what is beyond is left to end by itself. */
const HELD = 200;
/** Milliseconds around the end of a token in which either answer is right: 5 s of leeway are in it. */
const EARLY = 3_000;
const LATE = 9_000;
const GARBAGE = 'eyJhbGciOiJub25lIn0.e30.';

/**
 * @param rate what is begun in a second; each is a request or a few
 * @param reuseInterval milliseconds, as the server has it
 */
export async function startLoad(server, { rate, reuseInterval }) {
  const users = await inBatches(USERS, 4, () => register(server));
  const anyUser = () => users[randomInt(USERS)];
  const counts = { requests: 0, refused: 0 };
  const odd = [];
  const held = [];
  const take = () => held.splice(randomInt(held.length), 1)[0];
  const { hostname, port } = new URL(server.url);

  async function expect(what, wanted, asked) {
    counts.requests++;
    const answer = await asked;
    if (answer.status === 429) counts.refused++;
    if (![wanted].flat().includes(answer.status)) {
      odd.push(`${what} was answered ${answer.status} ${answer.body.code ?? ''}`);
    }
    return answer;
  }

  /** Which answer is due where something ends at a time of `performance.now()`. */
  function due(endsAt, before, after) {
    const now = performance.now();
    if (now < endsAt - EARLY) return before;
    return now > endsAt + LATE ? after : [before, after];
  }

  /** What a client keeps of an answer of the token endpoint. */
  function toSession(user, body, asked) {
    return {
      user,
      access: body.access_token,
      refresh: body.refresh_token,
      accessEnds: asked + body.expires_in * 1000,
      ends: asked + Math.min(body.refresh_expires_in, body.session_expires_in) * 1000,
    };
  }

  const guard = (what, wanted, token) =>
    expect(what, wanted, call(server, '/secure-data', bearer(token)));

  async function logIn(user, password) {
    const asked = performance.now();
    const { status, body } = await expect('a login', 200, tryLogin(server, user, password));
    if (status !== 200) return undefined;
    await guard('a new token', 200, body.access_token);
    return toSession(user, body, asked);
  }

  async function renew(session) {
    const asked = performance.now();
    const wanted = due(session.ends, 200, 400);
    const { status, body } = await expect('a refresh', wanted, refresh(server, session.refresh));
    if (status !== 200) return undefined;
    await guard('a refreshed token', 200, body.access_token);
    return toSession(session.user, body, asked);
  }

  function hold(session) {
    if (session !== undefined) held.push(session);
    if (held.length > HELD) take();
  }

  /** Connects, says so much and goes away, at once or after some milliseconds. */
  async function leave(text, after) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.on('data', () => undefined);
    socket.write(text);
    await sleep(after);
    socket.destroy();
  }

  /** What begins and ends within seconds. */
  const acts = {
    logIn: async () => hold(await logIn(anyUser())),
    renew: async () => hold(await renew(take())),
    known: async () => {
      const { access, accessEnds } = held[randomInt(held.length)];
      await guard('a known token', due(accessEnds, 200, 401), access);
    },
    mistake: () => expect('a wrong password', 401, tryLogin(server, anyUser(), 'seven rivers')),
    guess: () =>
      expect(
        'a guess',
        [401, 429],
        call(server, '/token', {
          ...json({ grant_type: 'password', username: users[0].username, password: 'a guess' }),
          headers: { 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1' },
        }),
      ),
    logOut: async () => {
      const { access, refresh: token, ends } = take();
      await expect('a logout', 204, logOut(server, token));
      if (performance.now() < ends) await guard('a token of a logout', 401, access);
    },
    revoke: async () => {
      const session = take();
      await expect('a revocation', 200, revoke(server, session.access));
      await guard('a revoked token', 401, session.access);
      hold(session.accessEnds > performance.now() ? await renew(session) : undefined);
    },
    introspect: async () => {
      const { access, accessEnds } = held[randomInt(held.length)];
      const wanted = due(accessEnds, 200, 401);
      const asking = bearer(access, json({ token: access }));
      await expect('an introspection', wanted, call(server, '/introspect', asking));
    },
    steal: async () => {
      const stolen = take();
      const next = await renew(stolen);
      if (next === undefined) return;
      await sleep(reuseInterval + 1_000);
      await expect('a token used again', 400, refresh(server, stolen.refresh));
      await expect('what came of it', 400, refresh(server, next.refresh));
      await guard('a token of a thief', 401, next.access);
    },
    live: async () => {
      const username = `soak-${randomBytes(6).toString('hex')}`;
      const body = json({ username, password: PASSWORD });
      const { status } = await expect('a registration', 201, call(server, '/users', body));
      if (status !== 201) return;
      const first = await logIn({ username });
      if (first === undefined) return;
      const second = await logIn({ username });
      if (second === undefined) return;
      await expect('a new password', 204, changePassword(server, first.access));
      await guard('the token of who changed it', 200, first.access);
      await guard('a token of before', 401, second.access);
      const third = await logIn({ username }, NEW_PASSWORD);
      await expect('a deletion', 204, deleteAccount(server, first.access));
      if (third !== undefined) await guard('a token of one who is gone', 401, third.access);
    },
    program: async () => {
      const session = await logIn(anyUser());
      if (session === undefined) return;
      const own = (path, init) => call(server, path, bearer(session.access, init));
      const making = own('/api-tokens', json({ name: 'of a program' }));
      const { body: made } = await expect('an API token', 201, making);
      await guard('an API token', 200, made.token);
      await expect('its end', 204, own(`/api-tokens/${made.id}`, { method: 'DELETE' }));
      await guard('an ended API token', 401, made.token);
      await expect('the list of sessions', 200, own('/sessions'));
      hold(session);
    },
    malformed: async () => {
      await expect('half of JSON', 400, call(server, '/token', { ...json({}), body: '{"user' }));
      await expect('a text', 415, call(server, '/token', { method: 'POST', body: 'a text' }));
      await expect('64 KiB', 413, call(server, '/users', json({ username: 'x'.repeat(65_536) })));
      await expect('no such path', 404, call(server, '/wp-login.php'));
      await guard('a token without a signature', 401, GARBAGE);
      await leave('\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 20);
    },
    abort: async () => {
      const { username } = anyUser();
      const body = JSON.stringify({ grant_type: 'password', username, password: PASSWORD });
      const text =
        'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
        `X-Forwarded-For: 10.1.${randomInt(256)}.${randomInt(256)}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`;
      await leave(text.slice(0, randomInt(text.length + 1)), randomInt(20));
      await leave(text, randomInt(20));
    },
    look: async () => {
      for (const path of ['/.well-known/jwks.json', '/docs', '/docs-json', '/health/ready']) {
        await expect(path, 200, call(server, path));
      }
    },
  };
  /** How often each is done, of so many. */
  const weights = {
    known: 60,
    renew: 40,
    logIn: 24,
    mistake: 6,
    introspect: 6,
    malformed: 4,
    guess: 2,
    logOut: 4,
    revoke: 4,
    abort: 4,
    live: 2,
    program: 2,
    steal: 2,
    look: 1,
  };
  const hat = Object.entries(weights).flatMap(([name, weight]) => Array(weight).fill(name));

  for (let i = 0; i < USERS; i++) hold(await logIn(users[i]));
  const inFlight = new Set();
  const timer = setInterval(() => {
    // In case of doubt rather more sessions than fewer: some acts end one.
    const name = held.length < USERS / 2 ? 'logIn' : hat[randomInt(hat.length)];
    const act = acts[name]()
      .catch((error) => odd.push(`${name}: ${error.cause?.message ?? error.message}`))
      .finally(() => inFlight.delete(act));
    inFlight.add(act);
  }, 1000 / rate);
  return {
    users,
    counts,
    odd,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(inFlight);
    },
  };
}
