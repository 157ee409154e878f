import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sql } from 'kysely';
import { examineDatabase } from '../src/cli/doctor/database.js';
import { examineFiles } from '../src/cli/doctor/files.js';
import type { Finding } from '../src/cli/doctor/finding.js';
import { examineServer } from '../src/cli/doctor/server.js';
import { examineSettings, settle } from '../src/cli/doctor/settings.js';
import { Clock } from '../src/clock.js';
import { loadConfig } from '../src/config/config.js';
import { startApp, TEST_ENVIRONMENT, urlOf } from './support/app.js';
import { runCli as cli } from './support/cli.js';
import { register } from './support/client.js';
import { FrozenClock } from './support/clock.js';
import { connect, fileOf } from './support/connection.js';
import { DATABASES, newDatabase } from './support/databases.js';
import { KEY_ENCRYPTION_SECRET, serverEnvironment, startServer } from './support/process.js';

const SECRET = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';
const OTHER = 'hT6bKq2wXe9rUy5oPa1sDf3gJk8lZx4c';
const WEAK = 'canary-secret-canary-secret-canary-secret';
/** Random, and on the public list of known ones. */
const PUBLISHED = '05630396-2e06-4d8a-a787-e8f09185c1cd';
const HTTPS = { ISSUER: 'https://auth.example.com' };
const NONE: ReadonlySet<string> = new Set();

/** What is not in order, as `fault CODE` or `warning CODE`. */
const told = (findings: readonly Finding[]): string[] =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, code }) => `${level} ${code}`);

const settings = (environment: Record<string, string>): Finding[] => {
  const { config, faulty, findings } = settle(environment);
  return [...findings, ...(config ? examineSettings(config, environment, faulty) : [])];
};

describe('The doctor finds in the settings', () => {
  it.each<[string[], Record<string, string>]>([
    [[], {}],
    [['fault secret_weak'], { JWT_SECRET: WEAK }],
    [['fault secret_weak'], { KEY_ENCRYPTION_SECRET: 'short' }],
    [['fault secret_weak'], { JWT_SECRET: PUBLISHED }],
    [['fault secrets_equal'], { JWT_SECRET: SECRET, KEY_ENCRYPTION_SECRET: SECRET }],
    [['fault setting_invalid', 'fault secret_weak'], { PORT: 'x', JWT_SECRET: WEAK }],
    [['fault setting_invalid', 'fault setting_invalid'], { DATABASE_URL: 'postgres://h/d' }],
    [
      ['warning proxy_header_believed', 'warning issuer_loopback'],
      { TRUST_PROXY: '1', HOST: '::' },
    ],
    [[], { TRUST_PROXY: '1' }],
    [['warning proxy_header_believed'], { TRUST_PROXY: '10.0.0.1, 0.0.0.0/1' }],
    [[], { TRUST_PROXY: '10.0.0.0/8' }],
    [['warning issuer_loopback'], { HOST: '0.0.0.0' }],
    [['warning issuer_loopback', 'warning metrics_public'], { HOST: '0.0.0.0', METRICS: 'open' }],
    [[], { METRICS: 'open' }],
    [['warning proxy_ignored', 'warning node_env'], HTTPS],
    [
      ['warning registration_open', 'warning docs_on'],
      { ...HTTPS, NODE_ENV: 'production', TRUST_PROXY: '10.0.0.1' },
    ],
    [
      [],
      {
        ...HTTPS,
        NODE_ENV: 'production',
        TRUST_PROXY: '10.0.0.1',
        REGISTRATION: 'open',
        DOCS: 'on',
        KEY_ENCRYPTION_SECRET,
      },
    ],
    [['fault node_env'], { ...HTTPS, NODE_ENV: 'test', TRUST_PROXY: '1' }],
    [['warning revocation_staleness'], { REVOCATION_MAX_STALENESS: '1h' }],
  ])('%j in %j', (expected, environment) => {
    const findings = settings(environment);
    expect(told(findings)).toEqual(expected);
    expect(JSON.stringify(findings)).not.toContain('canary');
    for (const { level, todo } of findings)
      expect([level, todo === undefined]).toEqual([level, level === 'ok']);
  });

  it('a secret beside the database that was written by hand, or used twice', async () => {
    const url = await newDatabase('sqlite');
    const file = `${fileOf(url)}.key-encryption-secret`;
    writeFileSync(file, `${WEAK}\n`);
    expect(told(settings({ DATABASE_URL: url }))).toEqual(['fault secret_weak']);
    writeFileSync(file, `${SECRET}\n`);
    expect(told(settings({ DATABASE_URL: url }))).toEqual([]);
    expect(told(settings({ DATABASE_URL: url, JWT_SECRET: SECRET }))).toEqual([
      'fault secrets_equal',
    ]);
  });
});

describe.each(DATABASES)('The doctor finds on %s', (kind) => {
  const ofDatabase = async (url: string, more: object = {}, clock: Clock = new Clock()) => {
    const environment = { ...TEST_ENVIRONMENT, ...serverEnvironment(url), ...more };
    return told(await examineDatabase(loadConfig(environment), NONE, clock));
  };

  it('nothing in the database of a server, and changes nothing', async () => {
    const app = await startApp({ database: kind });
    expect(await ofDatabase(urlOf(app))).toEqual([]);
    await app.close();
    const files = () => readdirSync(dirname(fileOf(urlOf(app)))).sort();
    const before = kind === 'sqlite' ? files() : [];
    expect(await ofDatabase(urlOf(app))).toEqual([]);
    if (kind === 'sqlite') expect(files()).toEqual(before);
  });

  it('migrations that are behind, or ahead, a secret that is lost, and rows that nobody seals', async () => {
    const app = await startApp({ database: kind });
    const url = urlOf(app);
    await app.close();
    const db = connect(url);

    const another = () => ofDatabase(url, { KEY_ENCRYPTION_SECRET: OTHER });
    expect(await another()).toEqual(['fault key_secret']);

    const row = { at: Date.now() - 120_000, event: 'user_enabled', actor: 'cli' };
    await db.insertInto('audit').values(row).execute();
    expect(await ofDatabase(url)).toEqual(['warning audit_unsealed']);

    // With JWT_SECRET there are no keys, and the seals are under it all the same.
    await db.deleteFrom('signing_keys').execute();
    const seal = { total: 0, at: 1, digests: '', chain: '', secret_id: 'x', mac: '' };
    await db
      .insertInto('audit_seals')
      .values({ id: 1000, last_row: 1000, ...seal })
      .execute();
    expect(await another()).toEqual(['fault key_secret']);

    await sql`delete from kysely_migration where name = '005-audit-seals'`.execute(db);
    expect(await ofDatabase(url)).toEqual(['warning migrations_behind']);
    await sql`insert into kysely_migration (name, timestamp) values ('999-x', '')`.execute(db);
    expect(await ofDatabase(url)).toContain('fault migrations_ahead');
    await sql`update kysely_migration set name = 'unfinished-copy' where name = '999-x'`.execute(
      db,
    );
    expect(await ofDatabase(url)).toEqual(['fault copy_unfinished']);
  });

  it('a database that was never used to be behind, or yet to be made', async () => {
    const url = await newDatabase(kind);
    const directory = dirname(fileOf(url));
    expect(await ofDatabase(url)).toEqual(kind === 'sqlite' ? [] : ['warning migrations_behind']);
    if (kind === 'sqlite') expect(readdirSync(directory)).toEqual([]);
  });
});

it('The doctor finds that the clocks of PostgreSQL and of this machine differ', async () => {
  const environment = { ...TEST_ENVIRONMENT, ...serverEnvironment(await newDatabase('postgres')) };
  const skewed = async (milliseconds: number) => {
    const clock = new FrozenClock(Date.now() + milliseconds);
    const findings = await examineDatabase(loadConfig(environment), NONE, clock);
    return told(findings).filter((one) => one.includes('clock'));
  };
  expect(await skewed(0)).toEqual([]);
  expect(await skewed(-3_000)).toEqual(['warning clock_skew']);
  expect(await skewed(20_000)).toEqual(['fault clock_skew']);
});

it('The doctor finds a database that is gone, damaged or out of reach', async () => {
  const of = async (environment: Record<string, string>) =>
    told(
      await examineDatabase(loadConfig({ ...TEST_ENVIRONMENT, ...environment }), NONE, new Clock()),
    );
  const url = await newDatabase('sqlite');
  writeFileSync(`${fileOf(url)}.key-encryption-secret`, `${SECRET}\n`);
  expect(await of({ DATABASE_URL: url })).toEqual(['fault database_missing']);
  writeFileSync(fileOf(url), 'no database, whatever its name says'.repeat(100));
  expect(await of({ DATABASE_URL: url })).toEqual(['fault database_unavailable']);
  expect(readFileSync(fileOf(url), 'utf8')).toMatch(/^no database/);
  const nowhere = { DATABASE_URL: 'postgres://a:b@127.0.0.1:1/c', KEY_ENCRYPTION_SECRET };
  expect(await of(nowhere)).toEqual(['fault database_unavailable']);
});

it('The doctor finds files that other users can read, and directories that they can write to', async () => {
  const url = await newDatabase('sqlite');
  const file = fileOf(url);
  const secret = `${file}.key-encryption-secret`;
  for (const path of [file, secret]) writeFileSync(path, SECRET, { mode: 0o600 });
  const of = () =>
    examineFiles(loadConfig({ DATABASE_URL: url }), { NODE_ENV: 'production' }).filter(
      ({ level }) => level !== 'ok',
    );
  expect(of()).toEqual([]);
  chmodSync(secret, 0o644);
  expect(of()).toMatchObject([
    { level: 'fault', code: 'file_modes', todo: `chmod 0600 ${secret}` },
  ]);
  chmodSync(secret, 0o640);
  expect(of()).toMatchObject([{ level: 'warning', code: 'file_modes' }]);
  chmodSync(secret, 0o600);
  chmodSync(dirname(file), 0o777);
  expect(of()).toMatchObject([{ level: 'fault', todo: `chmod 0700 ${dirname(file)}` }]);
  chmodSync(dirname(file), 0o755);
  expect(of()).toEqual([]);
});

describe('The doctor finds in what answers at an address', () => {
  let server: Server;
  let url: string;
  let answers: Record<string, [number, unknown]>;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const [status, body] = answers[request.url!] ?? [404, 'nothing'];
      response.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  const METADATA = '/.well-known/oauth-authorization-server';
  const READY = '/health/ready';
  const of = async (issuer: string, given?: string) =>
    told(await examineServer(loadConfig({ ISSUER: issuer }), NONE, given));

  it('nothing, where all is in order', async () => {
    answers = { [METADATA]: [200, { issuer: url }], [READY]: [200, { status: 'ok' }] };
    expect(await of(url)).toEqual([]);
  });

  it.each<[string[], string, [number, unknown], [number, unknown]]>([
    [
      ['fault issuer_mismatch'],
      'http://localhost',
      [200, { issuer: 'http://localhost:1' }],
      [200, {}],
    ],
    [
      ['warning issuer_elsewhere'],
      'http://localhost',
      [200, { issuer: 'http://localhost' }],
      [200, {}],
    ],
    [
      ['warning issuer_elsewhere', 'warning cookies_dropped'],
      'https://a.example',
      [200, { issuer: 'https://a.example' }],
      [200, {}],
    ],
    [['fault not_latchkey'], 'http://localhost', [404, 'nothing'], [200, {}]],
    [['fault not_latchkey'], 'http://localhost', [302, ''], [200, {}]],
    [
      ['warning issuer_elsewhere', 'fault revocations_stale'],
      'http://localhost',
      [200, { issuer: 'http://localhost' }],
      [503, { code: 'state_stale' }],
    ],
    [
      ['warning issuer_elsewhere', 'fault not_ready'],
      'http://localhost',
      [200, { issuer: 'http://localhost' }],
      [503, { code: 'database_unavailable' }],
    ],
  ])('%j', async (expected, issuer, metadata, ready) => {
    answers = { [METADATA]: metadata, [READY]: ready };
    expect(await of(issuer, url)).toEqual(expected);
  });

  it('that nothing does: a fault where the address was given, else a warning', async () => {
    expect(await of('http://127.0.0.1:1')).toEqual(['warning unreachable']);
    expect(await of('http://localhost', 'http://127.0.0.1:1')).toEqual(['fault unreachable']);
  });
});

describe('`doctor`', () => {
  it('ends with 0 beside a server that is well, and 1 where there is a fault', async () => {
    const url = await newDatabase('sqlite');
    const environment = serverEnvironment(url);
    const server = await startServer(environment);
    await register(server);
    chmodSync(dirname(fileOf(url)), 0o700);
    const [well, ill, wrong] = await Promise.all([
      cli(environment, 'doctor', '--url', server.url, '--json'),
      cli({ ...environment, JWT_SECRET: WEAK }, 'doctor', '--url', server.url),
      cli(environment, 'doctor', '--url', 'auth.example.com'),
    ]);
    await server.kill();
    const { faults, findings } = JSON.parse(well.stdout) as { faults: number; findings: Finding[] };
    expect([well.code, well.stderr, faults]).toEqual([0, '', 0]);
    expect(findings.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['ready', 'migrations']),
    );
    expect(ill).toMatchObject({ code: 1, stderr: '' });
    expect(ill.stdout).toMatch(/^FAULT {4}secret_weak: JWT_SECRET must be random/);
    expect(ill.stdout).toMatch(/ -> Change it.*\n[^]*\n1 fault, /);
    expect(ill.stdout).not.toContain('canary');
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('--url') });
  });

  it('makes nothing where there is nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'latchkey-doctor-'));
    chmodSync(directory, 0o700);
    const { code, stdout } = await cli(
      { DATABASE_URL: `sqlite:${directory}/data/latchkey.db`, ISSUER: 'http://127.0.0.1:1' },
      'doctor',
    );
    expect([code, stdout]).toEqual([0, expect.stringContaining('at the first start')]);
    expect(readdirSync(directory)).toEqual([]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });
});
