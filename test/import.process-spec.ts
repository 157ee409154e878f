import { spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync } from '@photostructure/sqlite';
import { sql } from 'kysely';
import { migrate } from '../src/database/migrate.js';
import { bearer, call, form, logIn } from './support/client.js';
import { runCli, startCli } from './support/cli.js';
import { connect } from './support/connection.js';
import { DATABASES, newDatabase } from './support/databases.js';
import { serverEnvironment, startServer } from './support/process.js';
import { parts } from './support/tokens.js';
import { until } from './support/until.js';

/** More of them (20, say) to look for a moment that is rare. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);

const PASSWORD = 'quiet river under seven moons';
/** Of this password, by passlib, bcrypt, and Django. */
const HASHES = {
  passlib: '$pbkdf2-sha256$1$VQ$1p9xOsolBTP6/0Sr4w4VffO8ACmo/RfG5GiKjJzBVPI',
  bcrypt: '$2b$04$sWRkEUPlC2VTAeyJmkLnXeiKDfrWy9n94qPUVoT3vwwKR4p5Qf/zG',
  argon2:
    '$argon2id$v=19$m=65536,t=3,p=4$qix5TQ/kIIItKU5RuHpAHw$XFYAIP3nwUqi38EHzWuL2cqQAk/fGqChX8DkCS1RhKU',
  djangoPbkdf2:
    'pbkdf2_sha256$1000000$w4KDWhgOJFpjfmbre83KvN$tRwpmcInYwr3UNEbhmReaI1f8fT3EADvdiqjnQdP6ZQ=',
  djangoArgon2:
    'argon2$argon2id$v=19$m=102400,t=2,p=8$d0c3TEc1SHVGdkhacFl6S3Q1dDdkYQ$MP92wgODyXsncW5FZNm57/95tfuTmgRKXwFL1kzFr1Y',
};
const HASH = HASHES.bcrypt;

const folder = mkdtempSync(join(tmpdir(), 'latchkey-import-'));
const jsonLines = (lines: readonly object[]) =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join('');

function file(content: string): string {
  const path = join(folder, createHash('sha256').update(content).digest('hex').slice(0, 16));
  writeFileSync(path, content);
  return path;
}

const user = (username: string, more: object = {}) => ({ username, password_hash: HASH, ...more });

async function emptyDatabase(kind: (typeof DATABASES)[number]) {
  const url = await newDatabase(kind);
  const db = connect(url);
  await migrate(db);
  const imported = (...args: string[]) =>
    runCli(serverEnvironment(url), 'users', 'import', ...args);
  return { url, db, settings: serverEnvironment(url), imported };
}

it.each(DATABASES)(
  'tells every bad line by its number, never its hash, and imports the others, on %s',
  async (kind) => {
    const { db, imported } = await emptyDatabase(kind);
    const [id, other] = [
      '11111111-2222-4333-8444-555555555555',
      'AAAAAAAA-2222-4333-8444-555555555555',
    ];
    const path = file(
      [
        JSON.stringify(user('first', { id })),
        '',
        'no json',
        JSON.stringify(user('weak', { password_hash: 'md5$secretsalt$00' })),
        JSON.stringify(user('FIRST')),
        JSON.stringify(user('thief', { id })),
        JSON.stringify(user('x', { padding: 'x'.repeat(20_000) })),
        `${JSON.stringify(user('second', { id: other, roles: ['admin'] }))}\r`,
        JSON.stringify(user('last', { disabled: true })),
        JSON.stringify(user('thief')),
      ].join('\n'),
    );
    const { code, stdout, stderr } = await imported(path, '--json');
    expect(JSON.parse(stdout)).toEqual({ imported: 4, skipped: 0, bad: 5, dry_run: false });
    expect(code).toBe(1);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^line 3: it is not JSON/),
      expect.stringMatching(/^line 4: password_hash must be argon2id, bcrypt, or PBKDF2/),
      'line 5: its username is that of an earlier line',
      'line 6: its id is that of an earlier line',
      'line 7: it is longer than 16384 bytes',
      '',
    ]);
    const users = await db
      .selectFrom('users')
      .select(['id', 'username', 'roles', 'disabled_at', 'password_hash'])
      .orderBy('username')
      .execute();
    expect(users).toMatchObject([
      { id, username: 'first', roles: 'user', disabled_at: null, password_hash: HASH },
      { username: 'last', disabled_at: expect.any(Number) },
      { id: other.toLowerCase(), username: 'second', roles: 'admin' },
      { username: 'thief' },
    ]);
  },
);

it('lets them log in with the password they have, whatever made its hash', async () => {
  const { settings, imported } = await emptyDatabase('sqlite');
  const lines = Object.entries(HASHES).map(([username, password_hash]) => ({
    username,
    password_hash,
  }));
  const server = await startServer(settings);
  expect(await imported(file(jsonLines(lines)))).toEqual({
    code: 0,
    stdout: '5 imported, 0 there already, 0 bad\n',
    stderr: '',
  });
  for (const username of Object.keys(HASHES)) {
    const wrong = await call(server, '/token', form({ username, password: `${PASSWORD}!` }));
    expect([username, wrong.status]).toEqual([username, 401]);
    expect(parts(await logIn(server, { username, password: PASSWORD })).claims).toMatchObject({
      username,
      scope: 'profile',
    });
  }
  await server.kill('SIGTERM');
});

it('changes nobody when it is run again, and nothing at all in a dry run', async () => {
  const { db, imported } = await emptyDatabase('sqlite');
  const all = () => db.selectFrom('users').selectAll().orderBy('id').execute();
  const id = randomUUID();
  const lines = Array.from({ length: 2_500 }, (_, i) => user(`Again-${i}`, i === 0 ? { id } : {}));
  const path = file(jsonLines(lines));
  // Of a line that is far above it.
  const twice = file(jsonLines([...lines, user('thief', { id })]));
  expect(await imported(twice, '--dry-run')).toEqual({
    code: 1,
    stdout: '2500 would be imported, 0 there already, 1 bad\n',
    stderr: 'line 2501: its id is that of an earlier line\n',
  });
  expect((await imported(path, '--dry-run')).stdout).toBe(
    '2500 would be imported, 0 there already, 0 bad\n',
  );
  expect(await all()).toEqual([]);
  expect((await imported(path)).stdout).toBe('2500 imported, 0 there already, 0 bad\n');
  await db.updateTable('users').set({ password_hash: 'new', roles: 'admin' }).execute();
  const before = await all();
  expect(await imported(path)).toEqual({
    code: 0,
    stdout: '0 imported, 2500 there already, 0 bad\n',
    stderr: '',
  });
  expect(await imported(file(jsonLines([user('thief', { id })])))).toEqual({
    code: 1,
    stdout: '0 imported, 0 there already, 1 bad\n',
    stderr: 'line 1: its id is that of another user\n',
  });
  expect(await all()).toEqual(before);
  const audit = await db
    .selectFrom('audit')
    .select(['event', 'actor', 'detail'])
    .orderBy('id')
    .execute();
  const entry = (count: number) => ({
    event: 'users_imported',
    actor: 'cli',
    detail: JSON.stringify({ count }),
  });
  expect(audit).toEqual([entry(1_000), entry(1_000), entry(500)]);
});

it.each([
  ['sqlite', ROUNDS],
  ['postgres', Math.ceil(ROUNDS / 3)],
] as const)(
  'leaves nothing half-done when it is killed, and completes when run again, on %s, %i times',
  async (kind, rounds) => {
    const COUNT = 4_000;
    const lines = Array.from({ length: COUNT }, (_, i) => user(`killed-${i}`));
    const path = file(jsonLines(lines));
    for (let round = 0; round < rounds; round++) {
      const { db, settings, imported } = await emptyDatabase(kind);
      const counted = async () => {
        const { rows } = await sql<{ users: number; names: number; told: number }>`
        select (select count(*) from users) as users,
          (select count(distinct canonical_username) from users) as names,
          (select count(*) from audit) as told
      `.execute(db);
        return rows[0]!;
      };
      // It reads on while we look for its first rows, and never comes to an end by itself.
      const command = startCli(settings, ['users', 'import', '-']);
      const feeding = (async () => {
        for (let at = 0; at < COUNT - 500; at += 250) {
          command.write(jsonLines(lines.slice(at, at + 250)));
          await sleep(10);
        }
      })();
      await until(async () => (await counted()).users > 0, true, 15_000);
      await sleep(7 * round);
      expect((await command.kill()).code).toBeNull();
      await feeding;
      const half = await counted();
      expect(half).toEqual({ users: half.told * 1_000, names: half.users, told: half.told });
      expect(half.users).toBeLessThan(COUNT);
      expect(await imported(path)).toMatchObject({
        code: 0,
        stdout: `${COUNT - half.users} imported, ${half.users} there already, 0 bad\n`,
      });
      expect(await counted()).toMatchObject({ users: COUNT, names: COUNT });
    }
  },
  60_000 + ROUNDS * 10_000,
);

it('brings an export from SQLite to PostgreSQL with the same ids, roles, times and passwords', async () => {
  const from = await emptyDatabase('sqlite');
  const lines = Array.from({ length: 1_100 }, (_, i) => user(`Kept.${i}`));
  const expiring = user('Invited', {
    roles: ['admin', 'user'],
    disabled: true,
    created_at: '2020-02-29T00:00:00.000Z',
    password_expires_at: '2030-01-01T00:00:00.000Z',
  });
  await from.imported(file(jsonLines([...lines, expiring])));
  const path = join(folder, 'export.jsonl');
  const exported = (...args: string[]) => runCli(from.settings, 'users', 'export', ...args);
  expect((await exported(path)).stdout).toBe(`1101 users are in ${path}\n`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await exported(path)).toEqual({
    code: 1,
    stdout: '',
    stderr: `${path} is there already\n`,
  });
  expect((await exported()).stdout).toBe(readFileSync(path, 'utf8'));

  const to = await emptyDatabase('postgres');
  expect((await to.imported(path)).stdout).toBe('1101 imported, 0 there already, 0 bad\n');
  const all = ({ db }: typeof to) =>
    db
      .selectFrom('users')
      .select(['id', 'username', 'password_hash', 'roles', 'created_at', 'password_expires_at'])
      .orderBy('id')
      .execute();
  expect(await all(to)).toEqual(await all(from));
  const { disabled_at } = await to.db
    .selectFrom('users')
    .select('disabled_at')
    .where('username', '=', 'Invited')
    .executeTakeFirstOrThrow();
  expect(disabled_at).not.toBeNull();
});
it('gives tokens that are accepted to a user who was deleted and comes back', async () => {
  const { settings, imported } = await emptyDatabase('sqlite');
  const server = await startServer(settings);
  const path = file(jsonLines([user('returning', { id: '99999999-2222-4333-8444-555555555555' })]));
  await imported(path);
  const who = { username: 'returning', password: PASSWORD };
  const before = await logIn(server, who);
  const guarded = async (token: string) =>
    (await call(server, '/secure-data', bearer(token))).status;
  await call(server, '/users/me', bearer(before, { method: 'DELETE' }));
  expect((await imported(path)).stdout).toMatch(/^1 imported/);
  expect(await guarded(await logIn(server, who))).toBe(200);
  expect(await guarded(before)).toBe(401);
  await server.kill('SIGTERM');
});

it('says in one line that there is no such file', async () => {
  const { imported } = await emptyDatabase('sqlite');
  expect(await imported('/nowhere/users.jsonl')).toEqual({
    code: 1,
    stdout: '',
    stderr: '/nowhere/users.jsonl cannot be read (ENOENT)\n',
  });
});

describe('docs/migrating.md walks from the FastAPI tutorial', () => {
  const DOCUMENT = readFileSync('docs/migrating.md', 'utf8');
  /** The users of the tutorial, whose password is `secret`. */
  const TABLE = [
    {
      username: 'johndoe',
      full_name: 'John Doe',
      email: 'johndoe@example.com',
      hashed_password:
        '$argon2id$v=19$m=65536,t=3,p=4$wagCPXjifgvUFBzq4hqe3w$CYaIb8sB+wtD+Vu/P4uod1+Qof8h+1g7bbDlBID48Rc',
      disabled: false,
    },
    {
      username: 'alice',
      full_name: 'Alice Wonderson',
      email: 'alice@example.com',
      // As it is in the older versions.
      hashed_password: '$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW',
      disabled: true,
    },
  ];
  const [onSqlite, onPostgres] = [...DOCUMENT.matchAll(/```sql\n([^]*?)```/g)].map(
    ([, block]) => block!,
  );
  const python = /```python\n(# export\.py\n[^]*?)```/.exec(DOCUMENT)![1]!;

  const COLUMNS = 'username text primary key, full_name text, email text, hashed_password text';

  const parsed = (lines: string) =>
    lines.split('\n').map((line) => (line === '' ? '' : (JSON.parse(line) as object)));

  function fromSqlite(): string {
    const db = new DatabaseSync(':memory:');
    db.exec(`create table user (${COLUMNS}, disabled boolean)`);
    const insert = db.prepare('insert into user values (?, ?, ?, ?, ?)');
    for (const row of TABLE)
      insert.run(...Object.values({ ...row, disabled: Number(row.disabled) }));
    const rows = db.prepare(onSqlite!).all() as object[];
    db.close();
    return rows.map((row) => `${Object.values(row)[0]}\n`).join('');
  }

  async function fromPostgres(): Promise<string> {
    const db = connect(await newDatabase('postgres'));
    await sql.raw(`create table "user" (${COLUMNS}, disabled boolean)`).execute(db);
    await sql`
      insert into "user" select * from json_populate_recordset(null::"user", ${JSON.stringify(TABLE)})
    `.execute(db);
    const { rows } = await sql.raw<object>(onPostgres!).execute(db);
    // The driver reads JSON, which psql prints.
    return jsonLines(rows.map((row) => Object.values(row)[0] as object));
  }

  function fromDictionary(): string {
    const directory = mkdtempSync(join(folder, 'tutorial-'));
    const rows = JSON.stringify(Object.fromEntries(TABLE.map((row) => [row.username, row])));
    writeFileSync(
      join(directory, 'main.py'),
      `import json\nfake_users_db = json.loads('${rows}')\n`,
    );
    writeFileSync(join(directory, 'export.py'), python);
    const { stdout } = spawnSync('python3', ['export.py'], { cwd: directory, encoding: 'utf8' });
    return stdout;
  }

  it('from its table in SQLite to a login here', async () => {
    const { settings, imported } = await emptyDatabase('sqlite');
    const server = await startServer(settings);
    const path = file(fromSqlite());
    for (const options of [['--dry-run'], []]) {
      const command = ['users', 'import', 'users.jsonl', ...options].join(' ');
      const [, shown] = new RegExp(`-- ${command}\n(.*\n)`).exec(DOCUMENT)!;
      expect((await imported(path, ...options)).stdout).toBe(shown);
    }
    const token = await logIn(server, { username: 'johndoe', password: 'secret' });
    expect((await call(server, '/secure-data', bearer(token))).status).toBe(200);
    const disabled = form({ username: 'alice', password: 'secret' });
    expect((await call(server, '/token', disabled)).status).toBe(401);
    expect((await runCli(settings, 'users', 'enable', 'alice')).code).toBe(0);
    expect((await call(server, '/token', disabled)).status).toBe(200);
    await server.kill('SIGTERM');
  });

  it('with the same lines from PostgreSQL', async () => {
    expect(parsed(await fromPostgres())).toEqual(parsed(fromSqlite()));
  });

  const hasPython = spawnSync('python3', ['--version']).status === 0;
  (hasPython ? it : it.skip)('with the same lines from its dictionary', () => {
    expect(parsed(fromDictionary())).toEqual(parsed(fromSqlite()));
  });
});
