import { existsSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import type { TestApp } from './app.js';
import { type Answer, bearer, call, logIn, newLogin } from './client.js';
import { expectSound, leaves } from './sound-answer.js';

/** What a test under the oracle works with. */
export interface Watched {
  /** As the client's `call`; the answer is held against the contract of every answer. */
  call: <Body = Record<string, unknown>>(path: string, init?: RequestInit) => Promise<Answer<Body>>;
  /** Declares what must be found nowhere afterwards. Passwords and tokens in bodies are known. */
  secret: (text: string) => string;
}

/** Milliseconds. */
const MOST_LAG = 100;
const LONGEST_LAG = 1000;
const LIVE_WITHIN = 1000;
/** Bytes. */
const MOST_GROWTH = 256 * 1024 * 1024;
/** Shorter ones are found by chance, and so is one character many times. */
const SECRET_LENGTH = 12;
const isSecret = (text: string): boolean => text.length >= SECRET_LENGTH && new Set(text).size > 1;

/**
 * Does what may be hostile, and holds the service against what must be true whatever is sent: each
 * answer is sound; no secret is in the log, in a table or in a file; it lives, is not held up, does
 * not grow, and serves the next valid request.
 */
export async function withOracle(
  app: TestApp,
  work: (watched: Watched) => Promise<void>,
): Promise<void> {
  const secrets = new Set<string>();
  const memory = process.memoryUsage.rss();
  const stopWatching = watchEventLoop();
  await work({
    secret: (text) => {
      secrets.add(text);
      return text;
    },
    call: async <Body>(path: string, init: RequestInit = {}) => {
      for (const [name, value] of leaves(init.body)) {
        if (/password|token/.test(name) && isSecret(value)) secrets.add(value);
      }
      const answer = await call<Body>(app, path, init);
      expectSound({ method: init.method ?? 'GET', path, init }, answer);
      const { access_token: token } = answer.body as { access_token?: unknown };
      if (typeof token === 'string') secrets.add(token);
      return answer;
    },
  }).finally(stopWatching);
  await expectAlive(app);
  await expectKept(app, secrets);
  expect(process.memoryUsage.rss() - memory).toBeLessThan(MOST_GROWTH);
}

const controls = new WeakMap<TestApp, { username: string; password: string }>();

/** Answers at once, and a user who has nothing to do with it logs in and reads the profile. */
async function expectAlive(app: TestApp): Promise<void> {
  const startedAt = performance.now();
  expect((await call(app, '/health/live')).status).toBe(200);
  expect(performance.now() - startedAt).toBeLessThan(LIVE_WITHIN);
  const user = controls.get(app) ?? (await newLogin(app));
  controls.set(app, user);
  expect((await call(app, '/users/me', bearer(await logIn(app, user)))).status).toBe(200);
}

/** In no place that outlives a request, in none of the forms in which it could have got there. */
async function expectKept(app: TestApp, secrets: Iterable<string>): Promise<void> {
  const places = { log: app.log(), ...(await stored(app)) };
  const found = [...secrets].flatMap((secret) =>
    Object.entries(places)
      .filter(([, text]) => forms(secret).some((form) => text.includes(form)))
      .map(([place]) => `${secret} in ${place}`),
  );
  expect(found).toEqual([]);
}

function forms(secret: string): string[] {
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const utf8 = Buffer.from(secret).toString('latin1');
  return [
    secret,
    utf8,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    base64,
  ];
}

/** All that the database holds: the bytes of its files, or each row of each table as text. */
async function stored({ config: { database }, db }: TestApp): Promise<Record<string, string>> {
  if (database.kind === 'sqlite') {
    const files = ['', '-wal', '-journal'].map((suffix) => database.file + suffix);
    return Object.fromEntries(
      files.filter(existsSync).map((file) => [file, readFileSync(file, 'latin1')]),
    );
  }
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables where table_schema = 'public'
  `.execute(db);
  const places: Record<string, string> = {};
  for (const { name } of rows) {
    const all = await sql<{ row: string }>`select t::text as row from ${sql.id(name)} t`.execute(
      db,
    );
    places[name] = all.rows.map(({ row }) => row).join('\n');
  }
  return places;
}

/**
 * How long the event loop was held up while something was asked of the service, over a whole file:
 * a percentile of a few moments says nothing. What counts is the time in which this very thread
 * computed: neither that of the hashing threads, nor that in which the machine did something else.
 */
const held: number[] = [];

/** @returns what ends the watching */
function watchEventLoop(): () => void {
  let [at, cpu] = [performance.now(), threadTime()];
  const timer = setInterval(() => {
    const [now, spent] = [performance.now(), threadTime()];
    held.push(Math.min(now - at, spent - cpu));
    [at, cpu] = [now, spent];
  }, 10);
  return () => clearInterval(timer);
}

/** Milliseconds that the main thread has computed; of the whole process where only that is known. */
function threadTime(): number {
  if (process.platform === 'linux') {
    const schedstat = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1');
    return Number.parseInt(schedstat, 10) / 1e6;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

afterAll(() => {
  if (held.length === 0) return; // nothing in the file was under the oracle
  held.sort((a, b) => a - b);
  expect(held[Math.floor(held.length * 0.99)]).toBeLessThan(MOST_LAG);
  expect(held.at(-1)).toBeLessThan(LONGEST_LAG);
});
