// Does the time of a failed login tell who exists? Logs in with a wrong password as a user, as
// nobody and as a disabled user, in turn, at a server with its real parameters, and compares the
// medians: node bench/timing.mjs [logins of each kind], after a build.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from '@photostructure/sqlite';

const LOGINS = Number(process.argv[2] ?? 500);
/** One name is slowed down after 100 failures, so that there have to be several of each kind. */
const OF_A_KIND = Math.ceil(LOGINS / 50);
/** A difference is small when it is one of these. */
const SHARE = 0.05;
const MILLISECONDS = 0.5;

const folder = mkdtempSync(join(tmpdir(), 'latchkey-timing-'));
const file = join(folder, 'latchkey.db');
const server = spawn(
  process.execPath,
  [fileURLToPath(new URL('../dist/main.js', import.meta.url))],
  {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      DATABASE_URL: `sqlite:${file}`,
      TRUST_PROXY: '1',
      LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  },
);
process.on('exit', () => {
  server.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const port = await new Promise((resolve) => {
  server.stderr.on('data', (chunk) => {
    const found = /listens on http:\/\/localhost:(\d+)/.exec(chunk.toString())?.[1];
    if (found !== undefined) resolve(found);
  });
});

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let address = 0;

/** Each time from another address, as one is slowed down, too. */
function post(path, body) {
  address++;
  const text = JSON.stringify(body);
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-forwarded-for': `2001:db8:${(address >> 16).toString(16)}:${(address & 0xffff).toString(16)}::1`,
  };
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    request({ agent, port, path, method: 'POST', headers }, (response) => {
      response.resume();
      response.on('end', () => resolve([response.statusCode, performance.now() - startedAt]));
    })
      .on('error', reject)
      .end(text);
  });
}

async function register(name) {
  const [status] = await post('/users', { username: name, password: `${name} by the lake` });
  if (status !== 201) throw new Error(`A registration was answered ${status}`);
  return name;
}

// Names of one length: what is compared is the kind of user alone.
const newNames = () =>
  Array.from({ length: OF_A_KIND }, () => `user-${randomBytes(5).toString('hex')}`);
const kinds = { known: newNames(), unknown: newNames(), disabled: newNames() };
for (const name of [...kinds.known, ...kinds.disabled]) await register(name);
const db = new DatabaseSync(file);
const disable = db.prepare('update users set disabled_at = 1 where username = ?');
for (const name of kinds.disabled) disable.run(name);
db.close();

const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
const WARM_UP = 20;
for (let round = -WARM_UP; round < LOGINS; round++) {
  // In another order each time, so that no kind always follows another one.
  const order = Object.keys(kinds).sort(() => randomBytes(1)[0] - 127.5);
  for (const kind of order) {
    const username = kinds[kind][(round + WARM_UP) % OF_A_KIND];
    const [status, took] = await post('/token', { username, password: 'a wrong one for anyone' });
    if (status !== 401) throw new Error(`A failed login was answered ${status}`);
    if (round >= 0) times[kind].push(took);
  }
}

const percentile = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)];
const known = percentile(times.known, 0.5);
console.log(`${LOGINS} failed logins of each kind, in milliseconds`);
let alike = true;
for (const [kind, values] of Object.entries(times)) {
  const median = percentile(values, 0.5);
  const difference = median - known;
  alike &&= Math.abs(difference) <= Math.max(SHARE * known, MILLISECONDS);
  console.log(
    `${kind.padEnd(9)} median ${median.toFixed(3)}  p90 ${percentile(values, 0.9).toFixed(3)}  ` +
      `beyond known ${difference.toFixed(3)} (${((100 * difference) / known).toFixed(1)} %)`,
  );
}
console.log(alike ? 'alike' : 'NOT alike');
process.exit(alike ? 0 : 1);
