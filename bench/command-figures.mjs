// What takes a command as long as there are rows: an import, reading the audit, a move.
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DATABASES, newDatabase } from './databases.mjs';
import { directory, runCommand, SERVER, start } from './processes.mjs';
import { ratio } from './table.mjs';

/**
 * What shows whether memory is flat. Left alone, V8 lets garbage pile up as the work goes on, and
 * the most that a process holds says little of what it keeps; in a heap of this size it cannot.
 */
const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=64' };
const FLAT = 1.25;

/** `users import` of a file with hashes, into SQLite. */
export async function importing({ settings, plan, progress }) {
  const run = async (count, environment) => {
    const DATABASE_URL = await newDatabase('sqlite');
    const file = await fileOfUsers(count);
    return runCommand(['users', 'import', file], { ...settings, DATABASE_URL, ...environment });
  };
  progress(`importing ${plan.imported} users`);
  const { took, peak } = await run(plan.imported);
  progress('importing in little memory');
  const few = await run(plan.imported / 5, SMALL_HEAP);
  const all = await run(plan.imported, SMALL_HEAP);
  return [
    rate(`import of ${plan.imported} users, users a second`, plan.imported / took, 10_000),
    ['  memory at most', mebibytes(peak)],
    flat(`  ${plan.imported} users / a fifth`, all, few),
  ];
}

/** `audit verify`, where each row is under a seal of its own, as on most days. */
export async function auditing({ settings, plan, progress }) {
  const rows = [];
  for (const kind of DATABASES) {
    progress(`an audit of ${plan.auditRows} rows, ${kind}`);
    const environment = { ...settings, DATABASE_URL: await newDatabase(kind) };
    const server = await start('app.mjs', SERVER, environment);
    await server.ask('writeAudit', { count: plan.auditRows });
    await server.stop();
    progress(`verifying it, ${kind}`);
    const { took, peak } = await runCommand(['audit', 'verify'], environment);
    rows.push(
      [
        `audit verify, ${plan.auditRows} rows, one a seal, ${kind}`,
        `${took.toFixed(1)} s`,
        '<= 20.0 s',
        took <= 20,
      ],
      ['  memory at most', mebibytes(peak)],
    );
  }
  return rows;
}

/** `db copy` from SQLite to PostgreSQL. */
export async function copying({ settings, plan, progress }) {
  const { copiedUsers: users, copiedSessions: sessions } = plan;
  const planted = async (share) => {
    const DATABASE_URL = await newDatabase('sqlite');
    const server = await start('app.mjs', SERVER, { ...settings, DATABASE_URL });
    await server.ask('openSessions', { count: sessions / share, users: users / share });
    await server.stop();
    return DATABASE_URL;
  };
  const copied = async (source, environment) =>
    runCommand(['db', 'copy', source, await newDatabase('postgres')], {
      ...settings,
      ...environment,
    });
  progress(`planting ${users} users with ${sessions} sessions`);
  const [tenth, whole] = [await planted(10), await planted(1)];
  progress('copying them');
  const { took, peak } = await copied(whole);
  progress('copying in little memory');
  const few = await copied(tenth, SMALL_HEAP);
  const all = await copied(whole, SMALL_HEAP);
  return [
    rate(
      `db copy of ${users} users, ${sessions} sessions, rows a second`,
      (users + sessions) / took,
      20_000,
    ),
    ['  memory at most', mebibytes(peak)],
    flat('  all of them / a tenth', all, few),
  ];
}

const mebibytes = (value) => `${value.toFixed(0)} MiB`;

const rate = (figure, measured, least) => [
  figure,
  measured.toFixed(0),
  `>= ${least}`,
  measured >= least,
];

function flat(figure, { peak: all }, { peak: few }) {
  const grown = all / few;
  return [
    `${figure}, memory in a small heap`,
    `${ratio(grown)} (${mebibytes(few)} to ${mebibytes(all)})`,
    `<= ${ratio(FLAT)}`,
    grown <= FLAT,
  ];
}

/** A file as another service would write it, no hash twice. */
async function fileOfUsers(count) {
  const path = join(directory, `users-${count}.jsonl`);
  const file = createWriteStream(path);
  for (let index = 0; index < count; index++) {
    const [salt, hash] = [16, 32].map((size) =>
      randomBytes(size).toString('base64').replaceAll('=', ''),
    );
    const user = {
      username: `brought-${index}`,
      password_hash: `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${hash}`,
    };
    if (!file.write(`${JSON.stringify(user)}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return path;
}
