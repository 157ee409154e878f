import { setTimeout as sleep } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import { Audit } from '../src/audit/audit.js';
import { AuditPruning } from '../src/audit-seals/audit-pruning.js';
import { AuditRetention } from '../src/audit-seals/audit-retention.js';
import { AuditSealer } from '../src/audit-seals/audit-sealer.js';
import { AuditVerification, type Head } from '../src/audit-seals/audit-verification.js';
import { makeSeal, RowDigests } from '../src/audit-seals/seal.js';
import { SealKeys } from '../src/audit-seals/seal-keys.js';
import { lastLink, readRows } from '../src/audit-seals/seal-store.js';
import { walk } from '../src/audit-seals/walk.js';
import type { Database, Executor } from '../src/database/database.js';
import { RootSecret } from '../src/keys/root-secret.js';
import { RootSecrets } from '../src/keys/root-secrets.js';
import { startApp, type TestApp, urlOf } from './support/app.js';
import { runCli as cli } from './support/cli.js';
import { newLogin, register } from './support/client.js';
import { FrozenClock } from './support/clock.js';
import { connect } from './support/connection.js';
import { type DatabaseKind, DATABASES, newDatabase } from './support/databases.js';
import { serverEnvironment, startServer } from './support/process.js';
import { until } from './support/until.js';

const DAY = 86_400;
/** Milliseconds: a transaction of another test, in the same cluster, can hold the seals up. */
const SEALED_WITHIN = 15_000;
const audit = new Audit(new FrozenClock());

const write = (executor: Executor, actor = 'cli') =>
  audit.record(executor, { event: 'user_enabled', userId: null, actor });

/** A verdict in one line. */
async function verdict(verification: AuditVerification, expected?: Head): Promise<string> {
  const result = await verification.verify(expected);
  if (!result.intact) return result.fault.message;
  const { rows, pruned, unsealed } = result.audit;
  return `${rows} rows, ${pruned} pruned, ${unsealed.rows} unsealed`;
}

const headOf = async (verification: AuditVerification): Promise<Head> => {
  const result = await verification.verify();
  if (!result.intact || result.audit.head === undefined) throw new Error('There is no head');
  return result.audit.head;
};

/** What somebody does who may do everything to the database, and has no secret. */
async function tamper(db: Database, kind: DatabaseKind, changes: RawBuilder<unknown>[]) {
  await db.transaction().execute(async (trx) => {
    if (kind === 'postgres') await sql`set local session_replication_role = replica`.execute(trx);
    const { rows: triggers } =
      kind === 'postgres'
        ? { rows: [] }
        : await sql<{ name: string; sql: string }>`
            select name, sql from sqlite_master where type = 'trigger'
          `.execute(trx);
    for (const { name } of triggers) await sql`drop trigger ${sql.id(name)}`.execute(trx);
    for (const change of changes) await change.execute(trx);
    for (const trigger of triggers) await sql.raw(trigger.sql).execute(trx);
  });
}

const TABLES = ['audit', 'audit_seals', 'audit_checkpoints'] as const;

/** All that the audit is, and how to have it again. */
async function saved(db: Database, kind: DatabaseKind): Promise<() => Promise<void>> {
  const content = await Promise.all(
    TABLES.map(async (table) => ({
      table,
      rows: await db.selectFrom(table).selectAll().execute(),
    })),
  );
  return () =>
    tamper(
      db,
      kind,
      content.flatMap(({ table, rows }) => [
        sql`delete from ${sql.table(table)}`,
        ...rows.map((row) => insertion(kind, table, row)),
      ]),
    );
}

function insertion(kind: DatabaseKind, table: string, row: object): RawBuilder<unknown> {
  const columns = sql.join(Object.keys(row).map((name) => sql.ref(name)));
  const always = kind === 'postgres' ? sql`overriding system value` : sql``;
  return sql`
    insert into ${sql.table(table)} (${columns}) ${always} values (${sql.join(Object.values(row))})
  `;
}

describe.each(DATABASES)('The seals of the audit, on %s,', (kind) => {
  let app: TestApp;
  let sealer: AuditSealer;
  let verification: AuditVerification;
  let pruning: AuditPruning;
  beforeAll(async () => {
    app = await startApp({ database: kind, environment: { AUDIT_RETENTION: '30d' } });
    const get = <T>(type: new (...args: never[]) => T) => app.nest.get(type, { strict: false });
    [sealer, verification, pruning] = [get(AuditSealer), get(AuditVerification), get(AuditPruning)];
  });
  afterAll(() => app.close());

  /** All that was written so far; the server does so too, each second. */
  const seal = () =>
    until(
      async () => {
        await sealer.seal();
        return (await verdict(verification)).endsWith(' 0 unsealed');
      },
      true,
      SEALED_WITHIN,
    );

  it('are made within two seconds of what they cover, and cover all of it', async () => {
    await newLogin(app);
    const { rows } = await app.db
      .selectFrom('audit')
      .select(({ fn }) => fn.countAll<number>().as('rows'))
      .executeTakeFirstOrThrow();
    await until(() => verdict(verification), `${rows} rows, 0 pruned, 0 unsealed`, SEALED_WITHIN);
  });

  it('are not made where there is nothing new', async () => {
    await seal();
    const { seal: last } = await headOf(verification);
    await sleep(1_300);
    expect((await headOf(verification)).seal).toBe(last);
  });

  describe('show', () => {
    let restore: () => Promise<void>;
    beforeAll(async () => {
      // Three seals, with a gap in the ids, as a transaction leaves one that was undone.
      for (let i = 0; i < 3; i++) {
        const { id } = await app.db
          .selectFrom('audit')
          .select('id')
          .orderBy('id', 'desc')
          .executeTakeFirstOrThrow();
        const row = { id: id + 5, at: 1, event: 'x', actor: 'before the gap' };
        await insertion(kind, 'audit', row).execute(app.db);
        if (kind === 'postgres') {
          await sql`select setval('audit_id_seq', ${sql.lit(id + 5)})`.execute(app.db);
        }
        for (let j = 0; j < 3; j++) await write(app.db, `${i}-${j}`);
        await seal();
      }
      restore = await saved(app.db, kind);
      expect(await verdict(verification)).toMatch(/^\d+ rows, 0 pruned, 0 unsealed$/);
    });
    afterEach(() => restore());

    const id = (actor: string) => sql`(select id from audit where actor = ${actor})`;
    const first = sql`(select min(id) from audit)`;
    const last = sql`(select max(id) from audit)`;
    const lastSeal = sql`(select max(id) from audit_seals)`;
    const forged = (table: string, row: object) => insertion(kind, table, row);
    const row = { at: 1, event: 'user_enabled', actor: 'mallory' };
    const checkpoint = { chain: 'x', seal_mac: 'x', at: 1, actor: 'cli', mac: 'x' };

    const CHANGES: [string, RegExp, RawBuilder<unknown>[]][] = [
      [
        'a changed event',
        /^row \d+ was changed \(seal \d+\)$/,
        [sql`update audit set event = 'x' where id = ${id('1-1')}`],
      ],
      [
        'a changed time of the first row',
        /^row 1 was changed/,
        [sql`update audit set at = at - 1 where id = ${first}`],
      ],
      [
        'an address that was none',
        /was changed/,
        [sql`update audit set address = '' where id = ${last}`],
      ],
      ['a deleted row', /^row \d+ is missing/, [sql`delete from audit where id = ${id('1-1')}`]],
      ['a deleted first row', /^row 1 is missing/, [sql`delete from audit where id = ${first}`]],
      ['a deleted last row', /is missing/, [sql`delete from audit where id = ${last}`]],
      [
        'the rows of a whole seal, deleted',
        /is missing \(seal \d+\)$/,
        [sql`delete from audit where actor like '1-%'`],
      ],
      ['all rows, deleted', /^row 1 is missing/, [sql`delete from audit`]],
      [
        'two rows in each other’s place',
        /was changed/,
        [
          sql`update audit set actor = 'a' where id = ${id('1-1')}`,
          sql`update audit set actor = '1-1' where id = ${id('1-2')}`,
          sql`update audit set actor = '1-2' where id = ${id('a')}`,
        ],
      ],
      [
        'a row in a gap',
        /^row \d+ was added/,
        [
          kind === 'postgres'
            ? sql`insert into audit (id, at, event, actor) overriding system value
                select max(id) - 2, 1, 'x', 'mallory' from audit where actor = 'before the gap'`
            : sql`insert into audit (id, at, event, actor)
                select max(id) - 2, 1, 'x', 'mallory' from audit where actor = 'before the gap'`,
        ],
      ],
      ['a row before the first', /^row 0 was added/, [forged('audit', { id: 0, ...row })]],
      ['a row far before the first', /^row -7 was added/, [forged('audit', { id: -7, ...row })]],
      ['a seal that is gone', /^seal 2 is missing$/, [sql`delete from audit_seals where id = 2`]],
      [
        'a first seal that is gone',
        /^seal 1 is missing$/,
        [sql`delete from audit_seals where id = 1`],
      ],
      [
        'a changed MAC',
        /^seal \d+ was changed, or is not ours$/,
        [sql`update audit_seals set mac = 'x' where id = ${lastSeal}`],
      ],
      [
        'a changed time of a seal',
        /^seal \d+ was changed/,
        [sql`update audit_seals set at = at + 1 where id = 1`],
      ],
      [
        'another number of rows',
        /^seal \d+ was changed/,
        [sql`update audit_seals set total = total + 1 where id = ${lastSeal}`],
      ],
      [
        'a row whose digest was changed with it',
        /^row 1 was changed|^seal 1 was changed/,
        [
          sql`update audit set event = 'x' where id = ${first}`,
          sql`update audit_seals set digests = 'x' where id = 1`,
        ],
      ],
      [
        'seals that somebody made without the secret',
        /^the seals from 2 on are under a secret that is neither/,
        [],
      ],
      [
        'a checkpoint that somebody made without the secret',
        /^the checkpoint of seal 1 was changed, or is not ours$/,
        [],
      ],
    ];

    it.each(CHANGES)('%s', async (name, told, changes) => {
      if (name.startsWith('seals that')) return expectForgedSeals(told);
      if (name.startsWith('a checkpoint that')) return expectForgedCheckpoint(told);
      await tamper(app.db, kind, changes);
      expect(await verdict(verification)).toMatch(told);
    });

    async function expectForgedSeals(told: RegExp) {
      const [one] = await app.db.selectFrom('audit_seals').selectAll().orderBy('id').execute();
      const digests = new RowDigests();
      for (const covered of await readRows(app.db, one!.last_row)) {
        digests.add({ ...covered, event: 'x' });
      }
      const forger = new SealKeys(new RootSecrets(new RootSecret('somebody else’s secret')));
      await tamper(app.db, kind, [
        sql`update audit set event = 'x' where id > ${one!.last_row}`,
        sql`delete from audit_seals where id > 1`,
        forged('audit_seals', makeSeal(one!, digests, 1, forger.current)),
      ]);
      expect(await verdict(verification)).toMatch(told);
      // A seal over them would prove them for good, and so would a checkpoint.
      await write(app.db, 'after');
      await sealer.seal();
      expect(await verdict(verification)).toMatch(told);
      expect(app.log()).toContain('The audit is no longer sealed: seal 2 is not ours');
      await pruning.prune(app.clock.now() + 1, 'cli');
      expect(await verdict(verification)).toMatch(told);
    }

    async function expectForgedCheckpoint(told: RegExp) {
      const { secret_id } = await app.db
        .selectFrom('audit_seals')
        .select('secret_id')
        .where('id', '=', 1)
        .executeTakeFirstOrThrow();
      const { last_row, total, chain } = await app.db
        .selectFrom('audit_seals')
        .selectAll()
        .where('id', '=', 1)
        .executeTakeFirstOrThrow();
      // The triggers let it happen, which is why a checkpoint needs the secret.
      const gone = { id: 1, seal_id: 1, secret_id, ...checkpoint, last_row, total, chain };
      await forged('audit_checkpoints', gone).execute(app.db);
      await app.db.deleteFrom('audit').where('id', '<=', last_row).execute();
      await app.db.deleteFrom('audit_seals').where('id', '<=', 1).execute();
      expect(await verdict(verification)).toMatch(told);
      await tamper(app.db, kind, [sql`delete from audit_seals`]);
      await sealer.seal();
      expect(await app.db.selectFrom('audit_seals').select('id').execute()).toEqual([]);
    }

    it('an end that was cut off rows and seals alike, to whoever noted the head', async () => {
      const head = await headOf(verification);
      expect(await verdict(verification, head)).toMatch(/ 0 unsealed$/);
      await tamper(app.db, kind, [
        sql`delete from audit where id > (select last_row from audit_seals where id = 1)`,
        sql`delete from audit_seals where id > 1`,
      ]);
      expect(await verdict(verification)).toMatch(/ 0 unsealed$/);
      expect(await verdict(verification, head)).toBe(
        `seal ${head.seal} is not the one that is expected: an end was cut off, or all was replaced`,
      );
      // A server that runs on has noted it, too.
      await sealer.seal();
      expect(app.log()).toContain('The audit was cut');
    });
  });

  it('refuse to be changed, as the rows do', async () => {
    const changes = [
      sql`update audit_seals set mac = 'x'`,
      sql`delete from audit_seals`,
      sql`delete from audit where id = 1`,
      ...(kind === 'postgres'
        ? [sql`truncate audit`, sql`truncate audit_seals`, sql`truncate audit_checkpoints`]
        : [sql`insert or replace into audit_seals select * from audit_seals`]),
    ];
    for (const change of changes) {
      await expect(change.execute(app.db)).rejects.toThrow(/audit rows are never changed/);
    }
  });

  it('go by age with their rows, and what is left is still proven', async () => {
    await seal();
    const { seal: old, mac } = await headOf(verification);
    const before = await app.db.selectFrom('audit').select('id').execute();
    await app.advance(31 * DAY);
    await newLogin(app);
    await seal();
    expect(await pruning.prune(app.clock.now() - 32 * DAY * 1000, 'cli')).toBe(0);
    await app.nest.get(AuditRetention, { strict: false }).prune();
    const left = await app.db.selectFrom('audit').select('id').execute();
    expect(left.length).toBeGreaterThan(1);
    expect(await verdict(verification)).toBe(
      `${left.length} rows, ${before.length} pruned, 0 unsealed`,
    );
    expect(await verification.count()).toBe(left.length);
    // The last seal that went is the one that was noted.
    expect(await verdict(verification, { seal: old, mac })).toMatch(/ 0 unsealed$/);
    for (const change of [
      sql`delete from audit`,
      sql`delete from audit_seals`,
      sql`delete from audit_checkpoints`,
      sql`update audit_checkpoints set last_row = 1000000`,
    ]) {
      await expect(change.execute(app.db)).rejects.toThrow(/audit rows are never changed/);
    }
  });

  it.each([
    ['a row that comes back', /^row 1 was added/, { id: 1, at: 1, event: 'x', actor: 'x' }],
    ['a checkpoint that is gone', /^seal 1 is missing/, undefined],
  ])('show, after that, %s', async (_, told, row) => {
    const restore = await saved(app.db, kind);
    await tamper(app.db, kind, [
      row ? insertion(kind, 'audit', row) : sql`delete from audit_checkpoints`,
    ]);
    expect(await verdict(verification)).toMatch(told);
    await restore();
  });

  it('are not deleted where they show a fault: it is evidence', async () => {
    const restore = await saved(app.db, kind);
    await tamper(app.db, kind, [sql`update audit set event = 'x'`]);
    await expect(pruning.prune(app.clock.now() + 1, 'cli')).rejects.toThrow(/was changed/);
    await restore();
    expect(await verdict(verification)).toMatch(/ 0 unsealed$/);
  });

  it('are proven by those after them, when their secret is set no more', async () => {
    await seal();
    const old = app.nest.get(RootSecrets, { strict: false }).current;
    const [next, another] = ['next', 'another'].map((name) => new RootSecret(name.repeat(8)));
    const verify = (secrets: RootSecrets) =>
      verdict(new AuditVerification(app.db, new SealKeys(secrets)));
    const restore = await saved(app.db, kind);

    expect(await verify(new RootSecrets(next!))).toMatch(/ under a secret that is neither/);
    const db = connect(urlOf(app));
    const renewing = new AuditSealer(db, app.clock, new SealKeys(new RootSecrets(next!, old)));
    await renewing.onModuleInit();
    await renewing.beforeApplicationShutdown();
    expect(await verify(new RootSecrets(next!, old))).toMatch(/ 0 unsealed$/);
    expect(await verify(new RootSecrets(next!))).toMatch(/ 0 unsealed$/);
    expect(await verify(new RootSecrets(another!))).toMatch(/ under a secret that is neither/);
    await tamper(app.db, kind, [sql`update audit set event = 'x'`]);
    expect(await verify(new RootSecrets(next!))).toMatch(/was changed/);
    await restore();
  });
});

describe('On PostgreSQL, where ids do not follow the order of commits,', () => {
  it('nothing is sealed while a row could still come before it', async () => {
    const app = await startApp({ database: 'postgres' });
    const sealer = app.nest.get(AuditSealer, { strict: false });
    const verification = app.nest.get(AuditVerification, { strict: false });
    await sealer.seal();
    const other = connect(urlOf(app));
    await other.transaction().execute(async (slow) => {
      await write(slow, 'slow');
      await write(app.db, 'fast');
      for (let i = 0; i < 3; i++) await sealer.seal();
      await sleep(1_200);
      expect(await verdict(verification)).toBe('0 rows, 0 pruned, 1 unsealed');
    });
    await until(() => verdict(verification), '2 rows, 0 pruned, 0 unsealed', SEALED_WITHIN);
    await app.close();
  });

  it('a row that comes late is not missed by who is reading', async () => {
    const app = await startApp({ database: 'postgres' });
    const verification = app.nest.get(AuditVerification, { strict: false });
    await write(app.db);
    await until(() => verdict(verification), '1 rows, 0 pruned, 0 unsealed', SEALED_WITHIN);
    const keys = app.nest.get(SealKeys, { strict: false });
    const reading = walk(connect(urlOf(app)), keys, undefined);
    await connect(urlOf(app))
      .transaction()
      .execute(async (slow) => {
        await write(slow, 'slow');
        await write(app.db, 'fast');
        expect((await reading.next()).value).toMatchObject({ seal: { id: 1 } });
      });
    await until(() => verdict(verification), '3 rows, 0 pruned, 0 unsealed', SEALED_WITHIN);
    expect((await reading.next()).value).toMatchObject({ seal: { id: 2, total: 3 } });
    expect((await reading.next()).done).toBe(true);
    await app.close();
  });

  it('many slow writers and several sealers seal every row once', async () => {
    const app = await startApp({ database: 'postgres' });
    const keys = app.nest.get(SealKeys, { strict: false });
    const verification = app.nest.get(AuditVerification, { strict: false });
    const sealers = [1, 2].map(() => new AuditSealer(connect(urlOf(app)), app.clock, keys));
    const written = new AbortController();
    const sealing = sealers.map(async (sealer) => {
      while (!written.signal.aborted) {
        await sealer.seal();
        await sleep(3);
      }
    });
    const writers = connect(urlOf(app));
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let i = 0; i < 40; i++) {
          const undone = i % 10 === 9;
          await writers
            .transaction()
            .execute(async (trx) => {
              await write(trx, `${writer}`);
              await sleep((writer * 7 + i * 3) % 20);
              await write(trx, `${writer}`);
              if (undone) throw new Error('undone');
            })
            .catch((error: Error) => expect(error.message).toBe('undone'));
        }
      }),
    );
    written.abort();
    await Promise.all(sealing);
    await until(
      () => verdict(verification),
      `${8 * 36 * 2} rows, 0 pruned, 0 unsealed`,
      SEALED_WITHIN,
    );
    const { seal } = await headOf(verification);
    expect(seal).toBeGreaterThan(10);
    await app.close();
  });
});

describe.each(DATABASES)('`audit verify` beside a server on %s', (kind) => {
  it('ends with 0 for what is intact, with 1 for what is not, and takes the head from the log', async () => {
    const url = await newDatabase(kind);
    const settings = serverEnvironment(url);
    const server = await startServer(settings);
    await register(server);
    const db = connect(url);
    // On SQLite nothing can hold the last seal up, the one that a server makes when it stops.
    if (kind === 'postgres') {
      await until(async () => (await lastLink(db)).total, 1, SEALED_WITHIN);
    }
    await server.kill('SIGTERM');
    const logged = [...server.stdout().matchAll(/sealed up to (\d+:[\w-]{43}), (\d+) rows/g)];
    const [, head = '', rows] = logged.at(-1) ?? [];
    expect(rows).toBe('1');

    expect(await cli(settings, 'audit', 'verify', '--expect', head)).toEqual({
      code: 0,
      stdout: `intact: 1 rows under 1 seals\nhead: ${head}\n`,
      stderr: '',
    });
    await tamper(db, kind, [sql`delete from audit`, sql`delete from audit_seals`]);
    const [silent, told] = await Promise.all([
      cli(settings, 'audit', 'verify', '--json'),
      cli(settings, 'audit', 'verify', '--expect', head, '--json'),
    ]);
    expect([silent.code, JSON.parse(silent.stdout)]).toMatchObject([0, { intact: true, rows: 0 }]);
    expect([told.code, JSON.parse(told.stdout)]).toMatchObject([1, { intact: false, seal: 1 }]);
  });
});

it('`audit` refuses a head or an age that is none, and prunes what is older', async () => {
  const settings = serverEnvironment(await newDatabase('sqlite'));
  const [head, age, pruned] = await Promise.all([
    cli(settings, 'audit', 'verify', '--expect', '1'),
    cli(settings, 'audit', 'prune', '--older-than', '1y'),
    cli(settings, 'audit', 'prune', '--older-than', '400d'),
  ]);
  expect(head).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('as the server'),
  });
  expect(age).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('400d') });
  expect(pruned).toEqual({ code: 0, stdout: '0 audit rows deleted\n', stderr: '' });
});
