import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sql } from 'kysely';
import { migrate } from '../../src/database/migrate.js';
import { call, logIn, newLogin } from '../support/client.js';
import { connect, fileOf } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import {
  KEY_ENCRYPTION_SECRET,
  refusedStart,
  type ServerProcess,
  serverEnvironment,
  startServer,
} from '../support/process.js';

const OTHER_SECRET = 'p2Zx8vQe6TnWc4LrYk0Ju7DsGa1MfBhO9iEtRwSyXlC';

/** What was there after some use and a clean stop, in a folder of the test's own. */
interface Copy {
  url: string;
  file: string;
  secretFile: string;
}

interface Case {
  what: string;
  /** What befalls the files; may return settings to start with. */
  damage: (copy: Copy) => Record<string, string> | void | Promise<void>;
  says: RegExp;
}

const CASES: Case[] = [
  {
    what: 'a database file of garbage',
    damage: ({ file }) => writeFileSync(file, randomBytes(16_384)),
    says: /latchkey\.db is damaged, or not an SQLite database \(.+\): restore it from a backup\.$/,
  },
  {
    what: 'a database file that was cut short',
    damage: ({ file }) => truncateSync(file, statSync(file).size / 2),
    says: /latchkey\.db is damaged, or not an SQLite database \(.+\): restore it from a backup\.$/,
  },
  {
    what: 'a database file of which one page in the middle was overwritten',
    damage: async ({ url, file }) => {
      const page = await rootPage(url, 'users');
      const bytes = readFileSync(file);
      randomBytes(4096).copy(bytes, (page - 1) * 4096);
      writeFileSync(file, bytes);
    },
    says: /latchkey\.db is damaged, or not an SQLite database \(.+\): restore it from a backup\.$/,
  },
  {
    what: 'an emptied database file beside its secret',
    damage: ({ file }) => truncateSync(file, 0),
    says: /latchkey\.db is missing or empty, but .+ restore both from a backup, or move the secret/,
  },
  {
    what: 'no database file beside its secret',
    damage: ({ file }) => rmSync(file),
    says: /latchkey\.db is missing or empty, but .+ restore both from a backup, or move the secret/,
  },
  {
    what: 'no secret beside its database',
    damage: ({ secretFile }) => rmSync(secretFile),
    says: /secret is missing, .+: restore the file from a backup, or set KEY_ENCRYPTION_SECRET to/,
  },
  {
    what: 'no secret beside its database, where all that needs it is a checkpoint of the audit',
    damage: async ({ url, secretFile }) => {
      const db = connect(url);
      const { id, last_row, total, chain, mac, secret_id } = await db
        .selectFrom('audit_seals')
        .selectAll()
        .orderBy('id', 'desc')
        .executeTakeFirstOrThrow();
      await db
        .insertInto('audit_checkpoints')
        .values({
          id: 1,
          seal_id: id,
          last_row,
          total,
          chain,
          seal_mac: mac,
          at: 1,
          actor: 'cli',
          secret_id,
          mac: 'm',
        })
        .execute();
      for (const table of ['audit_seals', 'sessions', 'signing_keys'] as const) {
        await db.deleteFrom(table).execute();
      }
      await db.destroy();
      rmSync(secretFile);
    },
    says: /secret is missing, .+: restore the file from a backup, or set KEY_ENCRYPTION_SECRET to/,
  },
  {
    what: 'an emptied secret file',
    damage: ({ secretFile }) => truncateSync(secretFile, 0),
    says: /key-encryption-secret is damaged: restore it from a backup\.$/,
  },
  {
    what: 'a secret file with one character more',
    damage: ({ secretFile }) =>
      writeFileSync(secretFile, readFileSync(secretFile, 'utf8').replace('\n', 'x\n')),
    says: /encrypted under another secret .+ than the one in .+: set KEY_ENCRYPTION_SECRET to that one, .+ or restore the file from a backup\.$/,
  },
  {
    what: 'the wrong KEY_ENCRYPTION_SECRET, even when keys of another algorithm are to be made',
    damage: () => ({ KEY_ENCRYPTION_SECRET, SIGNING_ALGORITHM: 'RS256' }),
    says: /encrypted under another secret .+ than KEY_ENCRYPTION_SECRET: set that one, or set it as/,
  },
  {
    what: 'the wrong KEY_ENCRYPTION_SECRET, where JWT_SECRET leaves no key that would tell',
    damage: () => ({ KEY_ENCRYPTION_SECRET, JWT_SECRET: OTHER_SECRET }),
    says: /last seal of the audit is under another secret .+ than KEY_ENCRYPTION_SECRET: set that/,
  },
  {
    what: 'another secret file, where JWT_SECRET leaves no key that would tell',
    damage: ({ secretFile }) => {
      writeFileSync(secretFile, KEY_ENCRYPTION_SECRET);
      return { JWT_SECRET: OTHER_SECRET };
    },
    says: /last seal of the audit is under another .+ than the one in .+: set KEY_ENCRYPTION_SECRET to that one, .+ restore the file from/,
  },
  {
    what: 'a signing key of which one byte changed',
    damage: async ({ url }) => {
      const db = connect(url);
      const { kid, private_key } = await db
        .selectFrom('signing_keys')
        .select(['kid', 'private_key'])
        .executeTakeFirstOrThrow();
      const bytes = Buffer.from(private_key, 'base64url');
      bytes[40]! ^= 1;
      await db
        .updateTable('signing_keys')
        .set({ private_key: bytes.toString('base64url') })
        .where('kid', '=', kid)
        .execute();
      await db.destroy();
    },
    says: /signing key \S+ in the database is damaged: restore the database from a backup\. \(.+\)$/,
  },
  {
    what: 'a place where no file can be',
    damage: ({ file }) => ({ DATABASE_URL: `sqlite:${join(file, 'latchkey.db')}` }),
    says: /latchkey\.db cannot be used \(.+\): check its place, and who may write there\.$/,
  },
  {
    what: 'a PostgreSQL that is not there',
    damage: () => serverEnvironment('postgres://latchkey:hunter2hunter2@127.0.0.1:1/latchkey'),
    says: /PostgreSQL of DATABASE_URL cannot be used \(.+\): check that it runs, and where\.$/,
  },
];

describe('It refuses to start, and says what to do, with', () => {
  it.concurrent.each(CASES)('$what', async ({ damage, says }) => {
    const copy = await copyOfUsed();
    const environment = (await damage(copy)) ?? {};
    const before = fingerprint(copy);
    const { code, stderr } = await refusedStart({ DATABASE_URL: copy.url, ...environment });
    // One line, and no stack trace.
    expect(stderr).toMatch(/^Latchkey cannot start\. [^\n]+\n$/);
    expect(stderr.trim()).toMatch(says);
    expect(stderr).not.toContain('hunter2');
    expect(code).toBe(1);
    expect(fingerprint(copy)).toEqual(before);
  });

  it('the wrong KEY_ENCRYPTION_SECRET, on PostgreSQL', async () => {
    const url = await newDatabase('postgres');
    await (await startServer(serverEnvironment(url))).kill();
    const { code, stderr } = await refusedStart({
      ...serverEnvironment(url),
      KEY_ENCRYPTION_SECRET: OTHER_SECRET,
    });
    expect(stderr).toMatch(/encrypted under another secret .+ than KEY_ENCRYPTION_SECRET/);
    expect(code).toBe(1);
  });
});

it('says what to check where PostgreSQL has no such database', async () => {
  const url = new URL(await newDatabase('postgres'));
  url.pathname = '/nobodys';
  const { code, stderr } = await refusedStart(serverEnvironment(url.href));
  expect(code).toBe(1);
  expect(stderr).toContain('database "nobodys" does not exist');
  expect(stderr).toContain('check the user, the password and the database in it.');
});

describe('When the server was killed', () => {
  const LOST: Pick<Case, 'what' | 'damage'>[] = [
    { what: 'lost', damage: ({ file }) => rmSync(`${file}-wal`) },
    { what: 'emptied', damage: ({ file }) => truncateSync(`${file}-wal`, 0) },
    {
      what: 'cut short',
      damage: ({ file }) => truncateSync(`${file}-wal`, statSync(`${file}-wal`).size / 2),
    },
  ];

  it.concurrent.each(LOST)(
    'it refuses to start without the log in which its last commits are: $what',
    async ({ damage }) => {
      const copy = await copyOfKilled();
      await damage(copy);
      const before = fingerprint(copy);
      const { code, stderr } = await refusedStart({ DATABASE_URL: copy.url });
      expect(stderr).toMatch(/^Latchkey cannot start\. [^\n]+\n$/);
      expect(stderr.trim()).toMatch(
        /latchkey\.db-wal is missing or cut short, .+: restore .+ or delete .+-shm to go on without/,
      );
      expect(code).toBe(1);
      expect(fingerprint(copy)).toEqual(before);
      // The operator has decided to go on without them.
      rmSync(`${copy.file}-shm`);
      await (await startServer({ DATABASE_URL: copy.url })).kill();
    },
  );

  it.concurrent('it has its keys still, though its log and the index of it are gone', async () => {
    const { url, file } = await copyOfKilled();
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix);
    const server = await startServer({ DATABASE_URL: url });
    expect(await publishedKids(server)).toEqual((await killed!).kids);
    await server.kill();
  });

  it.concurrent('it has everything, if nothing was lost', async () => {
    const { url } = await copyOfKilled();
    const server = await startServer({ DATABASE_URL: url });
    await logIn(server, (await killed!).user);
    await server.kill();
  });
});

describe('A clean stop', () => {
  it('leaves everything in the database file, so that a copy of it and the secret is a backup', async () => {
    const { file, secretFile } = await copyOfUsed();
    const restored = join(mkdtempSync(join(tmpdir(), 'latchkey-test-')), 'latchkey.db');
    cpSync(file, restored);
    cpSync(secretFile, secretFileOf(restored));
    const server = await startServer({ DATABASE_URL: `sqlite:${restored}` });
    const users = await connect(`sqlite:${restored}`).selectFrom('users').select('id').execute();
    expect(users).toHaveLength(1);
    await server.kill();
  });
});

describe('A first start', () => {
  it('that was killed when it had made the secret, and no keys yet, is made good by the next', async () => {
    const url = await newDatabase('sqlite');
    const db = connect(url);
    await migrate(db);
    await db.destroy();
    writeFileSync(secretFileOf(fileOf(url)), `${OTHER_SECRET}\n`, { mode: 0o600 });
    const server = await startServer({ DATABASE_URL: url });
    await newLogin(server);
    expect(readFileSync(secretFileOf(fileOf(url)), 'utf8')).toBe(`${OTHER_SECRET}\n`);
    await server.kill();
  });

  it('makes a folder, a database and a secret that nobody else can read', async () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'latchkey-test-')), 'a', 'b');
    const file = join(folder, 'latchkey.db');
    const server = await startServer({ DATABASE_URL: `sqlite:${file}` });
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    expect([mode(dirname(folder)), mode(folder)]).toEqual(['700', '700']);
    for (const suffix of ['', '-wal', '-shm']) expect(mode(file + suffix)).toBe('600');
    expect(mode(secretFileOf(file))).toBe('600');
    await server.kill();
  });
});

/** One server is used for all of them: registered, logged in, stopped. */
let used: Promise<string> | undefined;

async function copyOfUsed(): Promise<Copy> {
  used ??= useOnce();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
  cpSync(await used, folder, { recursive: true });
  const file = join(folder, 'latchkey.db');
  return { url: `sqlite:${file}`, file, secretFile: secretFileOf(file) };
}

async function useOnce(): Promise<string> {
  const url = await newDatabase('sqlite');
  const server = await startServer({ DATABASE_URL: url });
  await newLogin(server);
  await server.kill('SIGTERM');
  return dirname(fileOf(url));
}

/** Another was killed soon after its first start: what it knows is in its log. */
let killed: ReturnType<typeof killOne> | undefined;

async function copyOfKilled(): Promise<Copy> {
  killed ??= killOne();
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
  cpSync((await killed).folder, folder, { recursive: true, preserveTimestamps: true });
  const file = join(folder, 'latchkey.db');
  return { url: `sqlite:${file}`, file, secretFile: secretFileOf(file) };
}

async function killOne() {
  const url = await newDatabase('sqlite');
  const server = await startServer({ DATABASE_URL: url });
  const user = await newLogin(server);
  const kids = await publishedKids(server);
  await server.kill('SIGKILL');
  return { folder: dirname(fileOf(url)), user, kids };
}

async function publishedKids(server: ServerProcess): Promise<string[]> {
  const { body } = await call<{ keys: { kid: string }[] }>(server, '/.well-known/jwks.json');
  return body.keys.map(({ kid }) => kid).sort();
}

async function rootPage(url: string, table: string): Promise<number> {
  const db = connect(url);
  const { rows } = await sql<{ rootpage: number }>`
    select rootpage from sqlite_master where name = ${table}
  `.execute(db);
  await db.destroy();
  return rows[0]!.rootpage;
}

const secretFileOf = (file: string): string => `${file}.key-encryption-secret`;

/** What a start that is refused must not have touched. */
function fingerprint({ file, secretFile }: Copy): (string | undefined)[] {
  const hash = (path: string) =>
    existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : undefined;
  const log = `${file}-wal`;
  // A write would stand in the log; whether there is an empty one says nothing.
  const written = existsSync(log) && statSync(log).size > 0;
  return [hash(file), hash(secretFile), written ? hash(log) : undefined];
}
