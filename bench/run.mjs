// npm run bench [-- --quick] [-- --check]
//
// What the protection costs, as ratios of figures taken in turns in one run: they hold on another
// machine, and beside other programs, where requests a second do not. All that production has is
// on: the guard, the revocations, the security headers, the request log, the real clock.
//
// --quick takes fewer and shorter rounds; --check ends with 1 when a target is missed. Names of
// figures (requests, logins, flood, ...) measure these alone.
import { stopPostgres } from '../chaos/postgres.mjs';
import { accounts, oneToken } from './accounts.mjs';
import { auditing, copying, importing } from './command-figures.mjs';
import * as measure from './figures.mjs';
import { listing } from './listing.mjs';
import * as sessions from './session-figures.mjs';
import { directory, LOAD, machine, SERVER, start, startServer } from './processes.mjs';
import { print } from './table.mjs';

const quick = process.argv.includes('--quick');
const check = process.argv.includes('--check');
const plan = quick
  ? {
      revocations: 20_000,
      sessions: 50_000,
      users: 50_000,
      imported: 20_000,
      auditRows: 50_000,
      copiedUsers: 10_000,
      copiedSessions: 100_000,
      rounds: 2,
      seconds: 0.8,
      warmSeconds: 4,
      loginSeconds: 1.5,
      floodSeconds: 4,
      memorySeconds: 4.5,
      starts: 2,
    }
  : {
      revocations: 100_000,
      sessions: 1_000_000,
      users: 1_000_000,
      imported: 100_000,
      auditRows: 1_000_000,
      copiedUsers: 100_000,
      copiedSessions: 1_000_000,
      rounds: 7,
      seconds: 1.5,
      warmSeconds: 10,
      loginSeconds: 3,
      floodSeconds: 10,
      memorySeconds: 12,
      starts: 5,
    };

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => void stopPostgres().finally(() => process.exit(130)));
}

const began = performance.now();
/** One line a step, on standard error: the table alone goes to standard output. */
function progress(text) {
  const seconds = ((performance.now() - began) / 1000).toFixed(0).padStart(3);
  process.stderr.write(`${seconds} s  ${text}\n`);
}

progress('starting the servers');
const settings = {
  ISSUER: 'http://localhost:3000',
  KEY_ENCRYPTION_SECRET: 'mX4hT9wQ2cVb7kLr5nZp8sJd3fGy6aEu1oRiWxKtNqM',
  DATABASE_URL: `sqlite:${directory}/es256.db`,
};
const servers = {
  bare: await start('bare-http.mjs', SERVER),
  argon2: await start('bare-argon2.mjs', SERVER),
  app: await start('app.mjs', SERVER, settings),
  hs256: await start('app.mjs', SERVER, {
    ...settings,
    DATABASE_URL: `sqlite:${directory}/hs256.db`,
    JWT_SECRET: 'only-for-the-benchmark-b3JkaW5hcnkgcmFuZG9tIHRleHQ',
  }),
  bareLogin: await start('bare-login.mjs', SERVER, { FILE: `${directory}/bare-login.db` }),
  bareRefresh: await start('bare-refresh.mjs', SERVER, { FILE: `${directory}/bare.db` }),
  load: await start('load.mjs', LOAD),
  otherLoad: await start('load.mjs', LOAD),
  // On the same database, so that it knows the users and the keys; at rest until its turn.
  resting: await startServer(settings),
};
const users = await accounts(servers.app);
const token = await oneToken(servers.app, users);

const figures = [
  measure.requests,
  measure.logins,
  measure.flood,
  measure.memory,
  measure.startTime,
  sessions.revocations,
  sessions.refreshes,
  sessions.manySessions,
  listing,
  importing,
  auditing,
  copying,
];
const named = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const rows = [];
try {
  for (const figure of figures.filter(({ name }) => named.length === 0 || named.includes(name))) {
    rows.push(...(await figure({ servers, users, token, settings, plan, progress })));
  }
  progress('done\n');
} finally {
  await stopPostgres();
  print(rows);
}
console.log(`\n${machine()}`);
process.exit(check && rows.some(([, , , reached]) => reached === false) ? 1 : 0);
