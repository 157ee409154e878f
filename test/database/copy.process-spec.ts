import { randomBytes, randomUUID } from 'node:crypto';
import { cpSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { tablesOf } from '../../src/database/copy-tables.js';
import type { Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { bearer, call, json, logIn, openSession, refresh, register } from '../support/client.js';
import { runCli, startCli } from '../support/cli.js';
import { connect, fileOf } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import {
  KEY_ENCRYPTION_SECRET,
  refusedStart,
  serverEnvironment,
  startServer,
} from '../support/process.js';
import { until } from '../support/until.js';

/** More of them (20, say) to look for a moment that is rare. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);

const copied = (source: string, target: string, settings: Record<string, string> = {}) =>
  runCli(settings, 'db', 'copy', source, target);

const done = {
  code: 0,
  stdout: expect.stringContaining('counts and checksums are equal') as string,
};
const refused = (reason: string) => ({
  code: 1,
  stdout: '',
  stderr: expect.stringContaining(reason) as string,
});

/** A stopped installation with some of everything, among it what is awkward to write down. */
async function installation(users: number, sessions = 0) {
  const source = await newDatabase('sqlite');
  const db = connect(source);
  await migrate(db);
  await db
    .insertInto('users')
    .values(
      Array.from({ length: users }, (_, i) => ({
        id: randomUUID(),
        username: `Moved-${i}`,
        canonical_username: `moved-${i}`,
        password_hash: '',
        password_version: 1,
        gen: 1 + (i % 3),
        roles: 'user',
        created_at: 1_700_000_000_000 + i,
        disabled_at: i % 5 === 0 ? 1 : null,
        password_expires_at: null,
      })),
    )
    .execute();
  await sql`
    insert into sessions (id, user_id, scopes, auth_time, refresh_id, counter, rotated_at,
      idle_expires_at, expires_at, access_expires_at, address, user_agent)
    with recursive n(n) as (select 1 union all select n + 1 from n where n < ${sessions})
    select lower(hex(randomblob(16))), (select id from users where canonical_username =
      'moved-' || (n % ${users})), 'profile', n, lower(hex(randomblob(16))), n, n, n, n, n, null,
      'a "quoted" \\ text, ünïcödé 密 🔑' || char(9, 10, 31, 127, 8232) from n where ${sessions} > 0
  `.execute(db);
  await db
    .insertInto('audit_checkpoints')
    .values({
      id: 1,
      seal_id: 0,
      last_row: 0,
      total: 0,
      chain: 'c',
      seal_mac: 'm',
      at: 1,
      actor: 'cli',
      secret_id: 's',
      mac: 'm',
    })
    .execute();
  await db
    .insertInto('audit_seals')
    .values({
      id: 1_000_000,
      last_row: 1_000_000,
      total: 1,
      at: 1,
      digests: '1:x',
      chain: 'c',
      secret_id: 's',
      mac: 'm',
    })
    .execute();
  await sql`
    insert into api_tokens (id, user_id, name, secret_hash, scopes, created_at, expires_at)
    select 'token-' || id, id, 'ünïcödé', 'h', '', 1, null from users limit 3
  `.execute(db);
  await sql`
    insert into audit (at, event, actor, detail) values (1, 'x', 'cli', '{"a":"\\u0000"}'), (2, 'y', '', null)
  `.execute(db);
  await sql`
    insert into revocations (kind, subject, gen, expires_at, sid)
    values ('sub', 'a', 2, 9007199254740991, null), ('jti', 'b', null, 3, 's')
  `.execute(db);
  await db.deleteFrom('revocations').where('subject', '=', 'b').execute();
  await db.insertInto('attempts').values({ key: 'k', count: 2, ends_at: 5 }).execute();
  await sql`
    insert into attempts (rowid, key, count, ends_at) values (-7, 'below', 1, 5), (0, 'zero', 1, 5)
  `.execute(db);
  await db
    .insertInto('known_addresses')
    .values({ account: 'a', address: 'b', seen_at: 1 })
    .execute();
  await db
    .insertInto('signing_keys')
    .values({
      kid: 'withdrawn',
      alg: 'ES256',
      public_jwk: '{}',
      private_key: '',
      secret_id: '',
      created_at: 1,
      activate_at: null,
      withdrawn_at: 2,
    })
    .execute();
  const tables = await tablesOf(db);
  await db.destroy();
  return { source: await moved(source), tables };
}

/**
 * The same database in another file. The driver has the file open until its statements are
 * collected, and of a stopped installation nobody has it open.
 */
async function moved(source: string): Promise<string> {
  const to = await newDatabase('sqlite');
  cpSync(fileOf(source), fileOf(to));
  return to;
}

/** Every row of every table, compared without what the copy itself compares with. */
async function expectSame(source: string, target: string, tables: { name: string }[]) {
  const [from, to] = [connect(await moved(source)), connect(target)];
  const rowsOf = async (db: Database, name: string) => {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(
      db,
    );
    return rows.map(({ xid: _, ...row }) => JSON.stringify(Object.entries(row).sort())).sort();
  };
  for (const { name } of tables) expect(await rowsOf(to, name)).toEqual(await rowsOf(from, name));
  await from.destroy();
}

describe('Clients of an installation that moves from SQLite to PostgreSQL', () => {
  it('notice nothing', async () => {
    const [source, target] = [await newDatabase('sqlite'), await newDatabase('postgres')];
    const before = await startServer(serverEnvironment(source));
    const user = await register(before);
    const revoked = await logIn(before, user);
    const tokens = await openSession(before, user);
    const { body } = await refresh(before, tokens.refresh_token);
    const end = await call(before, '/revoke', {
      ...bearer(revoked),
      method: 'POST',
      body: new URLSearchParams({ token: revoked }),
    });
    expect(end.status).toBe(200);
    const made = await call<{ token: string }>(
      before,
      '/api-tokens',
      bearer(tokens.access_token, json({ name: 'moves too' })),
    );
    const keys = (await call(before, '/.well-known/jwks.json')).text;

    expect(await copied(source, target)).toEqual(refused('is in use: stop its servers first'));
    await before.kill('SIGTERM');
    const secretFile = `${fileOf(source)}.key-encryption-secret`;
    const { code, stdout, stderr } = await copied(source, target);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`KEY_ENCRYPTION_SECRET  the content of ${secretFile}\n`);
    const secret = readFileSync(secretFile, 'utf8').trim();
    expect(stdout).not.toContain(secret);

    const settings = { ...serverEnvironment(target), KEY_ENCRYPTION_SECRET: secret };
    const verified = await runCli(settings, 'audit', 'verify', '--json');
    const audit = JSON.parse(verified.stdout) as { rows: number };
    expect(audit).toMatchObject({ intact: true, unsealed: { rows: 0 } });
    expect(audit.rows).toBeGreaterThan(3);
    const after = await startServer(settings);
    const guarded = async (token: string) =>
      (await call(after, '/secure-data', bearer(token))).body['code'] ?? 'ok';
    expect((await call(after, '/.well-known/jwks.json')).text).toBe(keys);
    expect(await guarded(body.access_token)).toBe('ok');
    expect(await guarded(made.body.token)).toBe('ok');
    expect(await guarded(revoked)).toBe('token_revoked');
    const refreshed = await refresh(after, body.refresh_token);
    expect(refreshed.status).toBe(200);
    expect(await guarded(refreshed.body.access_token)).toBe('ok');
    // New rows do not collide with those that came.
    const token = await logIn(after, user);
    await call(after, '/users/me', bearer(token, { method: 'DELETE' }));
    expect(await guarded(token)).toBe('token_revoked');
    expect((await call(after, '/users', json({ username: 'x', password: 'x' }))).status).toBe(400);
    await after.kill('SIGTERM');
  });
});

describe('A copy to PostgreSQL', () => {
  it('has every row of every table, the indexes, and ids that go on', async () => {
    const { source, tables } = await installation(50, 2_500);
    expect(tables.map(({ name }) => name)).toEqual(
      // One of these must be in the installation above, with a row.
      expect.arrayContaining([
        'api_tokens',
        'attempts',
        'audit',
        'audit_checkpoints',
        'audit_seals',
        'known_addresses',
        'revocations',
        'sessions',
        'signing_keys',
        'users',
      ]),
    );
    const [target, empty] = [await newDatabase('postgres'), await newDatabase('postgres')];
    const [db, migrated] = [connect(target), connect(empty)];
    for (const one of [db, migrated]) {
      // Of somebody else, in the same database.
      await sql`create table others (n bigint generated always as identity)`.execute(one);
      await sql`create index others_n on others (n)`.execute(one);
    }
    expect(await copied(source, target)).toMatchObject(done);
    await expectSame(source, target, tables);
    await migrate(migrated);
    const indexes = async (one: Database) =>
      (
        await sql`select indexdef from pg_indexes where schemaname = 'public' order by 1`.execute(
          one,
        )
      ).rows;
    expect(await indexes(db)).toEqual(await indexes(migrated));
    const references = async (one: Database) =>
      (
        await sql`
          select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
          where connamespace = 'public'::regnamespace order by 1, 2
        `.execute(one)
      ).rows;
    expect(await references(db)).toEqual(await references(migrated));
    const names = async (one: Database) =>
      (
        await sql`select tablename from pg_tables where schemaname = 'public' order by 1`.execute(
          one,
        )
      ).rows;
    expect(await names(db)).toEqual(await names(migrated));
    const { rows } = await sql`
      insert into revocations (kind, subject, expires_at) values ('jti', 'c', 1) returning id
    `.execute(db);
    expect(rows).toEqual([{ id: 3 }]); // 2 was used, and deleted
  });

  it('takes a table of the application along, before the one it refers to', async () => {
    const { source, tables } = await installation(3);
    const changed = await moved(source);
    const from = connect(changed);
    const notes = sql`
      create table a_notes (id text primary key, user_id text not null references users(id), n bigint)
    `;
    await notes.execute(from);
    await sql`insert into a_notes select username, id, 7 from users`.execute(from);
    await from.destroy();
    const target = await newDatabase('postgres');
    const db = connect(target);
    await migrate(db);
    await notes.execute(db);
    const stopped = await moved(changed);
    expect(await copied(stopped, target)).toMatchObject(done);
    await expectSame(stopped, target, [...tables, { name: 'a_notes' }]);
  });

  it(
    `goes on where it was killed, and completes, ${ROUNDS} times`,
    async () => {
      const { source, tables } = await installation(100, 20_000);
      for (let round = 0; round < ROUNDS; round++) {
        const target = await newDatabase('postgres');
        const db = connect(target);
        const rows = async () => {
          const { rows: counts } = await sql<{ n: number }>`select count(*) as n from sessions`
            .execute(db)
            .catch(() => ({ rows: [] }));
          return counts[0]?.n ?? 0;
        };
        const command = startCli({}, ['db', 'copy', source, target]);
        await until(async () => (await rows()) > 0, true, 15_000);
        await sleep(round * 11);
        expect((await command.kill()).code).toBeNull();
        if (round === 0) {
          const half = await rows();
          expect(half).toBeLessThan(20_000);
          expect(half % 2_000).toBe(0);
          const { stderr } = await refusedStart({ DATABASE_URL: target, KEY_ENCRYPTION_SECRET });
          expect(stderr).toContain('is half of a copy: run `db copy` again');
        }
        expect(await copied(source, target)).toMatchObject(done);
        await expectSame(source, target, tables);
        await db.destroy();
      }
    },
    60_000 + ROUNDS * 15_000,
  );

  it('compares once more when it is run after its end, and writes to no target in use', async () => {
    const { source, tables } = await installation(20, 30);
    const target = await newDatabase('postgres');
    expect(await copied(source, target)).toMatchObject(done);
    expect(await copied(source, target)).toMatchObject(done);
    await expectSame(source, target, tables);
    const db = connect(target);
    await db
      .updateTable('users')
      .set({ gen: 9 })
      .where('canonical_username', '=', 'moved-1')
      .execute();
    expect(await copied(source, target)).toEqual(refused('copy to a new, empty database'));
  });

  it('notices that the source was changed between two halves', async () => {
    const { source } = await installation(20, 20_000);
    const target = await newDatabase('postgres');
    const command = startCli({}, ['db', 'copy', source, target]);
    const db = connect(target);
    await until(
      () =>
        sql`select 1 from sessions`.execute(db).then(
          ({ rows }) => rows.length > 0,
          () => false,
        ),
      true,
      15_000,
    );
    await command.kill();
    const changed = await moved(source);
    const from = connect(changed);
    await sql`update sessions set counter = counter + 1 where rowid = 7`.execute(from);
    await from.destroy();
    expect(await copied(await moved(changed), target)).toEqual(refused('the source was changed'));
  });

  it.each([['KEY_ENCRYPTION_SECRET is another one', 'is encrypted under another secret']])(
    'is refused before it begins when %s',
    async (_, reason) => {
      const [source, target] = [await newDatabase('sqlite'), await newDatabase('postgres')];
      await (await startServer(serverEnvironment(source))).kill('SIGTERM');
      const settings = { KEY_ENCRYPTION_SECRET: randomBytes(32).toString('base64url') };
      expect(await copied(source, target, settings)).toEqual(refused(reason));
      const secret = readFileSync(`${fileOf(source)}.key-encryption-secret`, 'utf8').trim();
      expect(await copied(source, target, { KEY_ENCRYPTION_SECRET: secret })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('as it is set now'),
      });
    },
  );

  it('is refused for what is no source or no target', async () => {
    const target = await newDatabase('postgres');
    expect(await copied('sqlite:/nowhere/latchkey.db', target)).toEqual(
      refused('is missing or empty'),
    );
    expect(await copied(target, target)).toEqual(refused('SOURCE must be sqlite:PATH'));
    expect(await copied('sqlite:a.db', 'sqlite:b.db')).toEqual(refused('TARGET must be postgres'));
  });
});
