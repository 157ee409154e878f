import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { openDatabase } from '../../src/database/open.js';
import { call, register } from '../support/client.js';
import { connect } from '../support/connection.js';
import { DATABASES, type DatabaseKind, newDatabase } from '../support/databases.js';
import {
  refusedStart,
  type RunningProcess,
  serverEnvironment,
  spawnNode,
  spawnServer,
  startServer,
} from '../support/process.js';
import { until } from '../support/until.js';

const SCRIPT = 'test/support/extra-migration.js';

/** Longer than any statement or request may wait: PostgreSQL's limit is 5 s, SQLite's 2 s. */
const LONG = 5_500;

describe.each(DATABASES)('A migration that is killed in the middle, on %s', (kind) => {
  it('leaves nothing behind, whether it was the first or a later one', async () => {
    const url = await newDatabase(kind);
    await (await inTheMiddleOfMigrating(url)).kill();
    expect(await tables(url, kind)).toEqual([]);

    const first = await startServer(serverEnvironment(url));
    const migrated = await tables(url, kind);
    expect(migrated).toContain('users');
    const user = await register(first);
    await first.kill();

    await (await inTheMiddleOfMigrating(url)).kill();
    expect(await tables(url, kind)).toEqual(migrated);

    const second = await startServer(serverEnvironment(url));
    expect((await call(second, '/health/ready')).status).toBe(200);
    const users = await connect(url).selectFrom('users').select('id').execute();
    expect(users).toEqual([{ id: user.id }]);
    await second.kill();
  });

  it('is done by the next start that has it, and an older version then refuses to start', async () => {
    const url = await newDatabase(kind);
    await (await inTheMiddleOfMigrating(url)).kill();

    const next = spawnNode(SCRIPT, { DATABASE_URL: url });
    expect(await next.exit).toEqual({ code: 0, signal: null });
    expect(next.stderr()).toBe('');
    const { rows } = await sql`select a from extra`.execute(connect(url));
    expect(rows).toEqual([{ a: 1 }]);

    const { code, stderr } = await refusedStart(serverEnvironment(url));
    expect(code).toBe(1);
    expect(stderr).toBe(
      'Latchkey cannot start. The database has the migration 999-extra, which this version does ' +
        'not know: start the newer version, or restore a backup from before it.\n',
    );
  });
});

describe('A process that finds another one migrating', () => {
  it.concurrent.each(DATABASES)(
    'waits for as long as it takes, then goes on, on %s',
    async (kind) => {
      const url = await newDatabase(kind);
      if (kind === 'postgres') await limitWaiting(url);
      const other = await inTheMiddleOfMigrating(url);
      const waiting = spawnServer(serverEnvironment(url));
      if (kind === 'postgres') await until(() => anyWaiting(url), true, 20_000);
      const early = await Promise.race([waiting.exit, waiting.listening, sleep(LONG, 'waiting')]);
      expect([early, waiting.stderr()]).toEqual(['waiting', '']);

      await other.kill();
      expect(await waiting.listening).toEqual(expect.any(Number));
      expect(await tables(url, kind)).not.toContain('extra');
      await waiting.kill();
    },
  );
});

describe('A start that waits too long, on PostgreSQL,', () => {
  const refusal = (url: string): Promise<string> =>
    openDatabase({ database: { kind: 'postgres', url } }, 500).then(
      () => 'opened',
      (error: Error) => error.message,
    );

  it('for a process that migrates says which one, and what to do', async () => {
    const url = await newDatabase('postgres');
    const other = await inTheMiddleOfMigrating(url);
    const message = await refusal(url);
    expect(message).toMatch(
      /^The migrations waited 0\.5 s for a lock in the PostgreSQL of DATABASE_URL, held by process \d+ \(latchkey, .*idle in transaction, since \d{4}-[^)]+\): start again when that is done, or after `select pg_terminate_backend\(\d+\)`\.$/,
    );
    await sql.raw(/`(.+)`/.exec(message)![1]!).execute(connect(url));
    const db = await openDatabase({ database: { kind: 'postgres', url } });
    expect(await tables(url, 'postgres')).toContain('users');
    await db.destroy();
    await other.kill();
  });

  it('for another transaction says whose it is', async () => {
    const url = await newDatabase('postgres');
    await connect(url)
      .transaction()
      .execute(async (trx) => {
        await sql`create table users (a int)`.execute(trx);
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
        expect(await refusal(url)).toContain(`held by process ${rows[0]!.pid} (latchkey, `);
      });
  });
});

async function inTheMiddleOfMigrating(url: string): Promise<RunningProcess> {
  const script = spawnNode(SCRIPT, { DATABASE_URL: url, HANG: 'yes' });
  if ((await script.line(/in the middle/)) === undefined) throw new Error(script.stderr());
  return script;
}

/** Without the migrator's own, which are made before its transaction begins. */
async function tables(url: string, kind: DatabaseKind): Promise<string[]> {
  const { rows } = await (
    kind === 'sqlite'
      ? sql<{ name: string }>`select name from sqlite_master where type = 'table'`
      : sql<{ name: string }>`select tablename as name from pg_tables where schemaname = 'public'`
  ).execute(connect(url));
  return rows
    .map(({ name }) => name)
    .filter((name) => !/^(kysely|sqlite)_/.test(name))
    .sort();
}

async function anyWaiting(url: string): Promise<boolean> {
  const { rows } = await sql`select 1 from pg_locks where not granted`.execute(connect(url));
  return rows.length > 0;
}

/** As a hoster may have set it for everybody. */
async function limitWaiting(url: string): Promise<void> {
  const name = sql.id(new URL(url).pathname.slice(1));
  const db = connect(url);
  await sql`alter database ${name} set statement_timeout = '300ms'`.execute(db);
  await sql`alter database ${name} set lock_timeout = '300ms'`.execute(db);
}
