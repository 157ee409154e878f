import { execFile } from 'node:child_process';
import { createSecretKey, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { verify } from '@node-rs/argon2';
import type { Database } from '../src/database/database.js';
import { listKeys } from '../src/keys/key-list.js';
import { Keyring } from '../src/keys/keyring.js';
import { secretKey } from '../src/keys/signing-key.js';
import { TokenExplainer } from '../src/tokens/explain.js';
import { CHECKS } from '../src/tokens/fault.js';
import { startApp } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  logIn,
  newName,
  openSession,
  PASSWORD,
  refresh,
  register,
} from './support/client.js';
import { connect } from './support/connection.js';
import { DATABASES, newDatabase } from './support/databases.js';
import { forgeries } from './support/forgeries.js';
import { serverEnvironment, type ServerProcess, startServer } from './support/process.js';
import { encode, parts, signature } from './support/tokens.js';
import { until } from './support/until.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const SECRET = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';
const ISSUER = 'http://localhost:3000';

type Environment = Record<string, string>;

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Everything that the command line wrote in this file. */
let said = '';

/** The settings of `startServer`, for a process beside it. */
const environmentOf = (settings: Environment): Environment => ({
  PATH: process.env['PATH'] ?? '',
  NODE_ENV: 'test',
  ISSUER,
  ARGON2_MEMORY_KIB: '64',
  ARGON2_TIME: '1',
  ...settings,
});

/** Runs `node dist/cli.js` with some standard input. */
function cli(settings: Environment, args: string, input = ''): Promise<Result> {
  return run(process.execPath, [CLI, ...args.split(' ')], settings, (child) =>
    child.stdin?.end(input),
  );
}

function run(
  program: string,
  args: string[],
  settings: Environment,
  started: (child: ReturnType<typeof execFile>) => void,
): Promise<Result> {
  return new Promise((resolve) => {
    const options = { cwd: tmpdir(), env: environmentOf(settings), timeout: 20_000 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      said += stdout + stderr;
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
    started(child);
  });
}

const done = (stdout: unknown = expect.any(String)) => ({ code: 0, stdout, stderr: '' });
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);
const refused = (code: number, stderr: unknown) => ({ code, stdout: '', stderr });

/** A signing key as it is listed. */
const key = (state: string) => ({
  kid: matching(/^[\w-]{43}$/),
  algorithm: 'ES256',
  created_at: matching(/^\d{4}-.*Z$/),
  signs_from: matching(/^\d{4}-.*Z$/),
  state,
});

/** Does something for every case at once, each of which takes a process; by the cases' names. */
async function each<Case extends [string, ...unknown[]], Answer>(
  cases: readonly Case[],
  work: (one: Case) => Promise<Answer>,
): Promise<Map<string, Answer>> {
  return new Map(await Promise.all(cases.map(async (one) => [one[0], await work(one)] as const)));
}

describe.each(DATABASES)('The command line beside a server on %s', (kind) => {
  let settings: Environment;
  let server: ServerProcess;
  let db: Database;
  const root = { username: 'root', password: PASSWORD };

  beforeAll(async () => {
    const url = await newDatabase(kind);
    settings = serverEnvironment(url);
    db = connect(url);
    // Before any server has seen the database.
    const created = await cli(settings, 'users create root --role admin', `${PASSWORD}\n`);
    expect(created).toEqual(done('root is enabled, with the role admin\n'));
    server = await startServer(settings);
  });
  afterAll(() => server?.kill());

  const guarded = async (token: string) => {
    const { status, body } = await call(server, '/secure-data', bearer(token));
    return status === 200 ? 'ok' : body['code'];
  };
  const auditOf = async (username: string) => {
    const rows = await db
      .selectFrom('audit')
      .innerJoin('users', 'users.id', 'audit.user_id')
      .select(['event', 'actor'])
      .where('users.username', '=', username)
      .where('event', 'like', 'user%')
      .orderBy('audit.id')
      .execute();
    return rows.map(({ event, actor }) => `${event} by ${actor}`);
  };

  it('makes the first administrator', async () => {
    const token = await logIn(server, root);
    expect(parts(token).claims['scope']).toBe('profile admin');
    expect(await auditOf('root')).toEqual(['user_created by cli']);
  });

  it('disables a user whose token is refused within a second, and enables them again', async () => {
    const user = await register(server);
    const token = await logIn(server, user);
    expect(await guarded(token)).toBe('ok');
    // In another spelling than the one that was registered.
    const disabled = await cli(settings, `users disable ${user.username.toUpperCase()}`);
    expect(disabled).toEqual(done(`${user.username} is disabled, with the role user\n`));
    await until(() => guarded(token), 'token_revoked', 1_000);
    expect((await call(server, '/token', form({ ...user }))).status).toBe(401);

    expect(await cli(settings, `token explain ${token} --json`)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/"check": "revocation",\n {2}"reason": "row \d+ .* gen 2,/),
    });
    expect(await cli(settings, `users enable ${user.username}`)).toEqual(
      done(`${user.username} is enabled, with the role user\n`),
    );
    expect(await guarded(await logIn(server, user))).toBe('ok');
    expect(await guarded(token)).toBe('token_revoked');
    expect(await auditOf(user.username)).toEqual([
      'user_created by anyone',
      'user_disabled by cli',
      'user_enabled by cli',
    ]);
  });

  it('gives roles: the old token is refused, and the next login has the new scopes', async () => {
    const user = await register(server);
    const token = await logIn(server, user);
    expect(await guarded(token)).toBe('ok');
    expect(await cli(settings, `users roles ${user.username} admin user admin`)).toEqual(
      done(`${user.username} is enabled, with the roles admin, user\n`),
    );
    await until(() => guarded(token), 'token_revoked', 1_000);
    expect(parts(await logIn(server, user)).claims['scope']).toBe('profile admin');
  });

  describe('invites a user', () => {
    const invited = async (options = '') => {
      const username = newName();
      const { stdout } = await cli(settings, `users invite ${username}${options}`);
      const [, password = ''] = /^One-time password: (\S+)$/m.exec(stdout) ?? [];
      return { username, password };
    };

    it('whose one-time password opens nothing but its own change', async () => {
      const user = await invited(' --role admin');
      const before = Date.now();
      const { password_expires_at } = await db
        .selectFrom('users')
        .select('password_expires_at')
        .where('username', '=', user.username)
        .executeTakeFirstOrThrow();
      expect(Math.abs(Number(password_expires_at) - before - 3 * 86_400_000)).toBeLessThan(30_000);

      const token = await logIn(server, user);
      expect(parts(token).claims['scope']).toBe('password_change');
      for (const [path, method] of [
        ['/secure-data', 'GET'],
        ['/users/me', 'GET'],
        ['/users/me', 'DELETE'],
      ] as const) {
        const { status, body } = await call(server, path, bearer(token, { method }));
        expect([status, body['code']]).toEqual([403, 'password_change_required']);
      }
      const change = { current_password: user.password, new_password: PASSWORD };
      const changed = await call(server, '/users/me/password', bearer(token, json(change)));
      expect(changed.status).toBe(204);
      expect((await call(server, '/token', form({ ...user }))).status).toBe(401);
      const next = await logIn(server, { ...user, password: PASSWORD });
      expect(parts(next).claims['scope']).toBe('profile admin');
      expect(await guarded(next)).toBe('ok');
    });

    it('who is refused when the password was not changed in time', async () => {
      const user = await invited();
      const answer = () => call(server, '/token', form({ ...user }));
      expect((await answer()).status).toBe(200);
      await db
        .updateTable('users')
        .set({ password_expires_at: Date.now() - 1 })
        .where('username', '=', user.username)
        .execute();
      expect(await answer()).toMatchObject({ status: 401, body: { code: 'login_failed' } });
    });
  });

  it('resets a password: the sessions end, and a one-time password opens its change', async () => {
    const user = await register(server);
    const session = await openSession(server, user);
    const found = () => db.selectFrom('users').selectAll().where('id', '=', user.id);
    const before = await found().executeTakeFirstOrThrow();
    const { code, stdout } = await cli(settings, `users reset ${user.username.toUpperCase()}`);
    const [, password = ''] = /^One-time password: (\S+)$/m.exec(stdout) ?? [];
    expect(code).toBe(0);
    const after = await found().executeTakeFirstOrThrow();
    expect(after).toEqual({
      ...before,
      password_hash: expect.any(String),
      password_version: 2,
      password_expires_at: expect.any(Number),
    });
    expect(Math.abs(after.password_expires_at! - Date.now() - 3 * 86_400_000)).toBeLessThan(30_000);

    await until(() => guarded(session.access_token), 'token_revoked', 1_000);
    expect((await refresh(server, session.refresh_token)).body.code).toBe('session_ended');
    expect((await call(server, '/token', form({ ...user }))).status).toBe(401);
    const token = await logIn(server, { ...user, password });
    expect(await guarded(token)).toBe('password_change_required');
    const change = { current_password: password, new_password: PASSWORD };
    const changed = await call(server, '/users/me/password', bearer(token, json(change)));
    expect(changed.status).toBe(204);
    expect(await guarded(await logIn(server, user))).toBe('ok');
    const entries = await db
      .selectFrom('audit')
      .select('actor')
      .where('user_id', '=', user.id)
      .where('event', '=', 'authn_password_reset')
      .execute();
    expect(entries).toEqual([{ actor: 'cli' }]);
  });

  it('lists everybody, beyond a page', async () => {
    const rows = Array.from({ length: 1_001 }, (_, i) => ({
      id: randomUUID(),
      username: `Many-${i}`,
      canonical_username: `many-${i}`,
      password_hash: '',
      password_version: 1,
      gen: 1,
      roles: 'user',
      created_at: i,
      disabled_at: i === 7 ? 1 : null,
      password_expires_at: null,
    }));
    // SQLite takes 32,766 parameters.
    await db.insertInto('users').values(rows).execute();
    const { stdout } = await cli(settings, 'users list --json');
    const listed = JSON.parse(stdout) as { username: string }[];
    const { count } = await db
      .selectFrom('users')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    expect(listed).toHaveLength(Number(count));
    expect(new Set(listed.map(({ username }) => username)).size).toBe(Number(count));
    expect(listed).toContainEqual({
      id: rows[7]!.id,
      username: 'Many-7',
      roles: ['user'],
      disabled: true,
      created_at: '1970-01-01T00:00:00.007Z',
    });
    expect(stdout).not.toContain('argon2');
  });

  it('lists the keys, of which one is active and one stands by', async () => {
    const { stdout } = await cli(settings, 'keys list --json');
    const listed = JSON.parse(stdout) as { kid: string }[];
    expect(listed).toEqual([key('active'), { ...key('standby'), signs_from: null }]);
    expect(parts(await logIn(server, root)).header['kid']).toBe(listed[0]!.kid);
  });

  it('rotates the keys, and withdraws what is compromised: refused within a second', async () => {
    const rotated = await cli(settings, 'keys rotate --json');
    const states = [key('active'), key('waiting'), { ...key('standby'), signs_from: null }];
    expect(JSON.parse(rotated.stdout)).toEqual(states);
    expect(await cli(settings, 'keys rotate')).toEqual(
      refused(1, matching(/^A rotation is under way: \S+ signs from \S+ on\.\n$/)),
    );
    const token = await logIn(server, root);
    await cli(settings, 'keys rotate --compromised');
    await until(() => guarded(token), 'token_revoked', 1_000);
    expect(await guarded(await logIn(server, root))).toBe('ok');
    expect(await cli(settings, 'keys reencrypt')).toEqual(done('Every key was already\n'));
  });

  it('lists the sessions of a user, and ends one or all of them', async () => {
    const user = await register(server);
    const [one, two] = [await logIn(server, user), await logIn(server, user)];
    const sid = parts(one).claims['sid'] as string;
    const { stdout } = await cli(settings, `sessions list ${user.username} --json`);
    const sessions = JSON.parse(stdout) as { id: string }[];
    expect(sessions).toHaveLength(2);
    expect(sessions).toContainEqual({
      id: sid,
      created_at: expect.any(String),
      last_used_at: expect.any(String),
      address: '127.0.0.1',
      user_agent: 'node',
    });
    expect(await cli(settings, `sessions end ${user.username} ${sid}`)).toEqual(
      done(`1 session of ${user.username} ended\n`),
    );
    await until(() => guarded(one), 'token_revoked', 1_000);
    expect(await guarded(two)).toBe('ok');
    expect(await cli(settings, `sessions end ${user.username}`)).toEqual(
      done(`1 session of ${user.username} ended\n`),
    );
    await until(() => guarded(two), 'token_revoked', 1_000);
  });
});

describe('A command', () => {
  let settings: Environment;
  let db: Database;
  beforeAll(async () => {
    const url = await newDatabase('sqlite');
    settings = serverEnvironment(url);
    await cli(settings, 'users create alice', PASSWORD);
    db = connect(url);
  });

  const FAILURES: [string, string, string, RegExp][] = [
    ['a name that is taken', 'users create Ａlice', PASSWORD, /^That username is taken\n$/],
    ['a weak password', 'users create bob', 'password1', /^password must not be a common one\n$/],
    [
      'a name and a password that are both wrong',
      'users create a/b',
      'short',
      /^username must .*; password must be at least 8 characters long\n$/,
    ],
    [
      'a password of two lines',
      'users create bob',
      `${PASSWORD}\nx\n`,
      /^There is more than one line on standard input\n$/,
    ],
    ['an unknown name', 'users disable bob', '', /^There is no user bob\n$/],
    [
      'a name that turns the terminal’s colours',
      'users enable \u001b[31mbob\nal',
      '',
      /^There is no user \\u001b\[31mbob\\u000aal\n$/,
    ],
  ];

  it('that cannot be done ends with 1 and says why in one line', async () => {
    const results = await each(FAILURES, ([, args, input]) => cli(settings, args, input));
    for (const [name, , , line] of FAILURES) {
      expect([name, results.get(name)]).toEqual([name, refused(1, matching(line))]);
    }
  });

  it.each([
    [
      'an unknown role',
      'users create bob --role root',
      'Allowed choices are user, admin, service.',
    ],
    [
      'an unknown role to give',
      'users roles alice user root',
      'Allowed choices are user, admin, service.',
    ],
    ['no role to give', 'users roles alice', "missing required argument 'ROLE'"],
    ['no name', 'users disable', "missing required argument 'NAME'"],
    ['an unknown command', 'users destroy alice', "unknown command 'destroy'"],
    ['an unknown option', 'keys list --private', "unknown option '--private'"],
  ])('ends with 2 for %s, before it touches anything', async (_, args, reason) => {
    // Settings that no command could start with.
    const result = await cli({ DATABASE_URL: 'nonsense' }, args, PASSWORD);
    expect(result).toEqual(refused(2, expect.stringContaining(reason)));
  });

  it.each(['', 'users ', 'users create ', 'keys list ', 'token explain '])(
    'has help: %s--help',
    async (level) => {
      expect(await cli({ DATABASE_URL: 'nonsense' }, `${level}--help`)).toEqual(
        done(expect.stringContaining(`Usage: npm run cli -- ${level}`)),
      );
    },
  );

  it('takes a password from standard input exactly, without the line’s end', async () => {
    const password = '  the ends are significant  ';
    const created = await cli(settings, 'users create bob --json', `${password}\r\n`);
    expect(JSON.parse(created.stdout)).toMatchObject({ username: 'bob', roles: ['user'] });
    const { password_hash } = await db
      .selectFrom('users')
      .select('password_hash')
      .where('username', '=', 'bob')
      .executeTakeFirstOrThrow();
    expect(await verify(password_hash, password)).toBe(true);
  });

  it('is told all faults in the settings, by name and not by value', async () => {
    const { code, stdout, stderr } = await cli(
      { ...settings, JWT_SECRET: 'canary', ACCESS_TOKEN_TTL: 'canary' },
      'users list',
    );
    expect([code, stdout]).toEqual([1, '']);
    for (const name of ['JWT_SECRET', 'ACCESS_TOKEN_TTL']) expect(stderr).toContain(name);
    expect(stderr).not.toContain('canary');
  });

  it('fails with 1 and one line when the database cannot be reached', async () => {
    const unreachable = {
      DATABASE_URL: 'postgres://latchkey:hunter2@127.0.0.1:9/none',
      KEY_ENCRYPTION_SECRET: SECRET,
    };
    const result = await cli(unreachable, 'users list');
    expect(result).toEqual(refused(1, expect.stringMatching(/^The PostgreSQL .* cannot be .*\n$/)));
    expect(result.stderr).not.toContain('hunter2');
  });

  describe('at a terminal', () => {
    /** A terminal of util-linux's or the BSDs' `script`, and somebody who answers its questions. */
    const atTerminal = (args: string[], answers: string[]): Promise<Result> => {
      const command = [process.execPath, CLI, ...args];
      const inTerminal =
        process.platform === 'linux'
          ? ['-qec', command.map((word) => `'${word}'`).join(' '), '/dev/null']
          : ['-q', '/dev/null', ...command];
      return run('script', inTerminal, settings, (child) => {
        child.stdout?.on('data', (chunk: string) => {
          // By then nothing is shown any more.
          if (chunk.includes(': ')) child.stdin?.write(`${answers.shift()}\r`);
        });
      });
    };

    it('asks twice for a password and shows none of it', async () => {
      const typed = `${PASSWORD}x\u007f`; // with a slip that is taken back
      const { code, stdout } = await atTerminal(['users', 'create', 'eve'], [typed, PASSWORD]);
      expect([code, stdout.replaceAll('\r', '')]).toEqual([
        0,
        'Password: \nThe same again: \neve is enabled, with the role user\n',
      ]);
    });

    it.each([
      ['two that differ', [PASSWORD, `${PASSWORD} `], 'The passwords differ'],
      ['Ctrl-C', ['\u0003'], 'Nothing was done'],
    ])('makes no user after %s', async (_, answers, reason) => {
      const { code, stdout } = await atTerminal(['users', 'create', 'mallory'], answers);
      expect([code, stdout]).toEqual([1, expect.stringContaining(reason)]);
      const users = await db.selectFrom('users').select('username').execute();
      expect(users).not.toContainEqual({ username: 'mallory' });
    });
  });
});

it('`keys list` tells the state of a key by when it signs', async () => {
  const app = await startApp();
  const keyring = app.nest.get(Keyring, { strict: false });
  const states = async () => {
    await keyring.reload();
    const keys = await listKeys(app.db, keyring, app.clock.now());
    return Object.fromEntries(keys.map(({ kid, state }) => [kid, state]));
  };
  const sign = (kid: string, activate_at: number) =>
    app.db.updateTable('signing_keys').set({ activate_at }).where('kid', '=', kid).execute();

  const [first = '', second = ''] = Object.keys(await states());
  expect(await states()).toEqual({ [first]: 'active', [second]: 'standby' });
  await sign(second, app.clock.now() + 900_000);
  expect(await states()).toEqual({ [first]: 'active', [second]: 'waiting' });
  await app.advance(900);
  expect(await states()).toEqual({ [first]: 'retired', [second]: 'active' });
  await app.close();
});

describe('`token explain`', () => {
  let settings: Environment;
  beforeAll(async () => {
    settings = { ...serverEnvironment(await newDatabase('sqlite')), JWT_SECRET: SECRET };
  });

  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: ISSUER,
    sub: randomUUID(),
    aud: ISSUER,
    client_id: 'latchkey',
    iat: now - 60,
    exp: now + 1_740,
    auth_time: now - 60,
    jti: randomUUID(),
    sid: randomUUID(),
    scope: 'profile',
    gen: 1,
    username: 'alice',
  };
  const { kid } = secretKey(SECRET);
  const signed = (change: object, head: object = {}): string => {
    const input = `${encode({ alg: 'HS256', typ: 'at+jwt', kid, ...head })}.${encode({ ...claims, ...change })}`;
    return `${input}.${signature('HS256', createSecretKey(SECRET, 'utf8'), input)}`;
  };
  const explain = async (token: string) => {
    const { code, stdout, stderr } = await cli(settings, 'token explain - --json', `${token}\n`);
    return { code, stderr, said: JSON.parse(stdout) as unknown };
  };

  it('tells that a token is valid, and what it claims', async () => {
    const token = signed({});
    expect(await explain(token)).toEqual({ code: 0, stderr: '', said: { valid: true, claims } });
    const { code, stdout } = await cli(settings, `token explain ${token}`);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^valid\n[^]*"username": "alice"/)]);
    for (const check of CHECKS) expect(stdout).toMatch(new RegExp(`^${check} +ok$`, 'm'));
  });

  const REFUSED: [string, string, string, string, RegExp][] = [
    [
      'an expired one',
      signed({ iat: now - 3_600, exp: now - 1_800 }),
      'token_expired',
      'time',
      RegExp(`^it expired at ${new Date((now - 1_800) * 1_000).toISOString()}, \\d{4} s ago$`),
    ],
    [
      'another audience',
      signed({ aud: 'https://other.example' }),
      'token_invalid',
      'claims',
      RegExp(`^aud is "https://other.example", not "${ISSUER}"$`),
    ],
    [
      'a changed signature',
      signed({}).replace(/.{43}$/, 'A'.repeat(43)),
      'token_invalid',
      'signature',
      RegExp(`^it was not made with the key ${kid}, or not over this content$`),
    ],
    [
      'an unknown kid',
      signed({}, { kid: 'nobody' }),
      'token_invalid',
      'key',
      /^no key in use has the kid "nobody"$/,
    ],
    ['garbage', 'no token', 'token_invalid', 'form', /^it has 1 segments, where a token has/],
  ];

  it.each([
    ['an API token', 'lk_api_ZbcAo6IhbIEHNWSk_x'],
    ['a refresh token', 'lk_rt_48741306dc749922bcd298ee93f8415a_0_x'],
  ])('says what %s is, and who tells of it', async (kind, token) => {
    const { code, stdout, stderr } = await cli(settings, 'token explain -', `${token}\n`);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`This is ${kind}, and access tokens are explained: POST /introspect`);
    expect(stderr).not.toContain(token);
  });

  it('tells which check any other token fails, and why', async () => {
    const answers = await each(REFUSED, ([, token]) => explain(token));
    for (const [name, , code, check, reason] of REFUSED) {
      // What nobody proved is not shown as if it meant something.
      const proven = ['claims', 'time'].includes(check);
      const claimed = proven && { claims: expect.objectContaining({ jti: claims.jti }) };
      expect([name, answers.get(name)]).toEqual([
        name,
        {
          code: 1,
          stderr: '',
          said: { valid: false, code, check, reason: matching(reason), ...claimed },
        },
      ]);
    }
  });

  it('lists the key of a shared secret without the secret, and the one before it', async () => {
    const rotated = { ...settings, JWT_SECRET: `${SECRET}2`, JWT_SECRET_PREVIOUS: SECRET };
    const { stdout } = await cli(rotated, 'keys list');
    expect(stdout).toMatch(
      new RegExp(`^KID .*\n${secretKey(`${SECRET}2`).kid} .* active\n${kid} .* retired\n$`),
    );
  });

  it('answers for every forgery as the guard does', async () => {
    const app = await startApp();
    const { username, password } = { username: newName(), password: PASSWORD };
    await call(app, '/users', json({ username, password }));
    const token = await logIn(app, { username, password });
    const explainer = app.nest.get(TokenExplainer, { strict: false });
    const differing: unknown[] = [];
    const checks = new Set<string>();
    for (const [name, forgery] of forgeries(app, token)) {
      const { body } = await call(app, '/secure-data', bearer(forgery));
      const explanation = await explainer.explain(forgery);
      const code = explanation.valid ? 'valid' : explanation.code;
      if (code !== body['code']) differing.push([name, body['code'], explanation]);
      if (!explanation.valid) checks.add(explanation.check);
      // What the operator is told, the caller is not.
      expect(Object.keys(body).sort()).toEqual(['code', 'error', 'error_description']);
    }
    expect(differing).toEqual([]);
    expect([...checks].sort()).toEqual(CHECKS.filter((check) => check !== 'revocation').sort());
    expect(await explainer.explain(token)).toMatchObject({ valid: true });
    await app.close();
  });
});

it('writes no password, secret or private key anywhere', () => {
  expect(said).toContain('is enabled, with the role');
  for (const secret of [PASSWORD, SECRET, 'PRIVATE KEY', '$argon2', '"d":', 'private_key']) {
    expect(said).not.toContain(secret);
  }
});
