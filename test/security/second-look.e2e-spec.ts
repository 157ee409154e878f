import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ApiTokenPruning } from '../../src/api-tokens/api-token-pruning.js';
import { LastUses } from '../../src/api-tokens/last-uses.js';
import { KeyRotation } from '../../src/keys/key-rotation.js';
import { Account } from '../../src/users/account.js';
import { Registration } from '../../src/users/registration.js';
import { startApp, type TestApp, urlOf } from '../support/app.js';
import {
  bearer,
  call,
  form,
  json,
  newLogin,
  newName,
  openSession,
  PASSWORD,
  refresh,
  register,
} from '../support/client.js';
import { DATABASES } from '../support/databases.js';
import { newAdmin } from '../support/principals.js';
import { parts } from '../support/tokens.js';

const OPERATOR = { id: 'cli' };
const NEXT_PASSWORD = 'another river under nine moons';

const status = async (app: TestApp, token: string): Promise<number> =>
  (await call(app, '/secure-data', bearer(token))).status;

describe('A request that was let in and then had to wait', () => {
  let app: TestApp;
  let other: pg.Client;
  beforeEach(async () => {
    app = await startApp({ database: 'postgres' });
    other = new pg.Client(urlOf(app));
    await other.connect();
  });
  afterEach(async () => {
    await other.end();
    await app.close();
  });

  const ASKED: Record<string, [path: string, init: RequestInit]> = {
    'makes no API token': ['/api-tokens', json({ name: 'x' })],
    'deletes no account': ['/users/me', { method: 'DELETE' }],
    'changes no password': [
      '/users/me/password',
      json({ current_password: PASSWORD, new_password: NEXT_PASSWORD }),
    ],
  };

  it.each([
    ['makes no API token', 'end of the others'],
    ['makes no API token', 'logout'],
    ['makes no API token', 'password change'],
    ['deletes no account', 'end of the others'],
    ['changes no password', 'end of the others'],
    ['changes no password', 'logout'],
  ])('%s after the %s', async (what, how) => {
    const user = await register(app);
    const stolen = (await openSession(app, user)).access_token;
    const owner = (await openSession(app, user)).access_token;
    await other.query('begin');
    await other.query('select 1 from users where id = $1 for update', [user.id]);
    const ends: Record<string, () => Promise<{ status: number }>> = {
      'end of the others': () => call(app, '/sessions/others', bearer(owner, { method: 'DELETE' })),
      logout: () => call(app, '/logout', bearer(stolen, { method: 'POST' })),
      'password change': () =>
        call(
          app,
          '/users/me/password',
          bearer(owner, json({ current_password: PASSWORD, new_password: NEXT_PASSWORD })),
        ),
    };
    const ended = ends[how]!();
    await sleep(300); // it waits for the row
    const [path, init] = ASKED[what]!;
    const answer = call(app, path, bearer(stolen, init));
    await sleep(100);
    await other.query('commit');
    expect([(await ended).status, (await answer).status]).toEqual([204, 401]);
  });

  it('does not undo that its administrator was disabled', async () => {
    const [fallen, admin] = [await newAdmin(app), await newAdmin(app)];
    await other.query('begin');
    await other.query('select pg_advisory_xact_lock($1)', [String(0x6c61746368n + 1n)]);
    const patch = (token: string, change: object) =>
      call(app, `/admin/users/${fallen.id}`, bearer(token, json(change, 'PATCH')));
    const down = patch(admin.token, { disabled: true, roles: ['user'] });
    await sleep(100);
    const up = patch(fallen.token, { disabled: false, roles: ['admin'] });
    await sleep(100);
    await other.query('commit');
    expect([(await down).status, (await up).status]).toEqual([200, 401]);
  });

  it('makes no administrator after its own was disabled', async () => {
    const [fallen, admin] = [await newAdmin(app), await newAdmin(app)];
    const registration = app.nest.get(Registration, { strict: false });
    const { sid } = parts(fallen.token).claims as { sid: string };
    await app.nest.get(Account, { strict: false }).disable(fallen.id, { id: admin.id });
    const making = registration.create(
      { username: newName(), password: PASSWORD, roles: ['admin'] },
      { id: fallen.id, sessionId: sid },
    );
    await expect(making).rejects.toMatchObject({ code: 'token_revoked' });
  });

  it('is answered though last uses are written meanwhile', async () => {
    const user = await newLogin(app);
    const tokens = [];
    for (let count = 0; count < 40; count++) {
      const { body } = await call<{ token: string }>(
        app,
        '/api-tokens',
        bearer(user.token, json({ name: 'x' })),
      );
      tokens.push(body.token);
      await status(app, body.token);
    }
    const [ended] = await Promise.all([
      call(app, '/api-tokens', bearer(user.token, { method: 'DELETE' })),
      app.nest.get(LastUses, { strict: false }).write(),
    ]);
    expect(ended.status).toBe(204);
    for (const token of tokens.slice(0, 3)) expect(await status(app, token)).toBe(401);
  });
});

describe.each(DATABASES)('What was taken away stays so, on %s:', (database) => {
  let app: TestApp;
  const start = async (environment: Record<string, string> = {}) => {
    app = await startApp({ database, environment });
  };
  beforeEach(() => start());
  afterEach(() => app.close());

  const rotation = () => app.nest.get(KeyRotation, { strict: false });
  const kids = async () =>
    (await call<{ keys: { kid: string; alg: string }[] }>(app, '/.well-known/jwks.json')).body.keys;

  it('a key that has left, when the one after it is withdrawn', async () => {
    const { token } = await newLogin(app);
    await rotation().rotate('cli');
    await app.advance(30 * 86_400);
    await rotation().replaceCompromised('cli', false);
    await app.advance(0);
    const old = parts(token).header['kid'];
    expect((await kids()).map(({ kid }) => kid)).not.toContain(old);
    expect(await kids()).toHaveLength(2);
  });

  it.each([true, false])('keys of an algorithm that signs no more (all: %s)', async (all) => {
    const DATABASE_URL = urlOf(app);
    await app.close();
    await start({ DATABASE_URL, SIGNING_ALGORITHM: 'RS256' });
    expect((await kids()).map(({ alg }) => alg)).toContain('RS256');
    await app.close();
    await start({ DATABASE_URL });
    await rotation().replaceCompromised('cli', all);
    await app.advance(0);
    expect((await kids()).map(({ alg }) => alg)).toEqual(['ES256', 'ES256']);
  });

  it('a revocation, when the clock was two hours ahead for a while, whoever read the feed then', async () => {
    const { token } = await newLogin(app);
    await call(app, '/logout', bearer(token, { method: 'POST' }));
    await app.advance(61); // the last pruning was a while ago
    app.clock.step(7200);
    await app.advance(0);
    expect((await call(app, '/revocations')).status).toBe(200);
    app.clock.step(-7200);
    await app.advance(0);
    expect(await status(app, token)).toBe(401);
  });

  it('a revocation, when a server was started by a clock that was two hours ahead', async () => {
    const { token } = await newLogin(app);
    await call(app, '/logout', bearer(token, { method: 'POST' }));
    const { clock } = app;
    const DATABASE_URL = urlOf(app);
    await app.close();
    clock.step(7200);
    app = await startApp({ database, clock, environment: { DATABASE_URL } });
    clock.step(-7200);
    await app.advance(0);
    expect(await status(app, token)).toBe(401);
  });

  it('the tokens of a session that was opened before it could be refreshed', async () => {
    const user = await newLogin(app);
    await app.db
      .updateTable('sessions')
      .set((eb) => ({ refresh_id: null, idle_expires_at: eb.ref('access_expires_at') }))
      .execute();
    await app.nest.get(Account, { strict: false }).disable(user.id, OPERATOR);
    expect(await status(app, user.token)).toBe(401);
  });

  it('rights that a session had, also where it is introspected', async () => {
    const admin = await newAdmin(app);
    const before = await openSession(app, { ...admin, password: PASSWORD });
    await app.nest.get(Account, { strict: false }).setRoles(admin.id, ['user'], OPERATOR);
    const after = await openSession(app, { ...admin, password: PASSWORD });
    const { body } = await call(
      app,
      '/introspect',
      bearer(after.access_token, form({ token: before.refresh_token })),
    );
    expect(body).toMatchObject({ active: true, scope: 'profile' });
  });
});

describe.each(DATABASES)('Nobody can, on %s,', (database) => {
  let app: TestApp;
  beforeEach(async () => {
    app = await startApp({ database });
  });
  afterEach(() => app.close());

  const eventsOf = async (userId: string) =>
    (
      await app.db
        .selectFrom('audit')
        .select('event')
        .where('user_id', '=', userId)
        .orderBy('id')
        .execute()
    ).map(({ event }) => event);

  it('fill the audit with one token that is over', async () => {
    const user = await register(app);
    const session = await openSession(app, user);
    await call(app, '/logout', form({ refresh_token: session.refresh_token }));
    for (let times = 0; times < 5; times++) {
      expect((await refresh(app, session.refresh_token)).body.code).toBe('session_ended');
    }
    const told = (await eventsOf(user.id)).filter((event) => event === 'session_use_after_expire');
    expect(told).toHaveLength(1);
  });

  it('try a password unseen, by asking for a scope that does not exist', async () => {
    const user = await register(app);
    const login = { username: user.username, password: PASSWORD, scope: 'nonsense' };
    expect((await call(app, '/token', form(login))).body['error']).toBe('invalid_scope');
    expect(await eventsOf(user.id)).toEqual(['user_created', 'authn_login_fail']);
    expect(await app.db.selectFrom('known_addresses').selectAll().execute()).toEqual([]);
    const { count } = await app.db
      .selectFrom('attempts')
      .select('count')
      .where('key', 'like', 'pair:%')
      .executeTakeFirstOrThrow();
    expect(count).toBe(1);
  });

  it('make an honest client a thief by answering its refresh with 503', async () => {
    const session = await openSession(app, await register(app));
    app.clock.advance(61); // the keys are stale
    expect((await refresh(app, session.refresh_token)).status).toBe(503);
    await app.advance(11);
    expect((await refresh(app, session.refresh_token)).status).toBe(200);
  });

  it('say null for what may be left out', async () => {
    const admin = await newAdmin(app);
    const user = await newLogin(app);
    const requests: [string, RequestInit][] = [
      ['/api-tokens', json({ name: 'x', scopes: null })],
      ['/api-tokens', json({ name: 'x', expires_in: null })],
      ['/admin/users', json({ username: newName(), password: null })],
      ['/admin/users', json({ username: newName(), roles: null })],
      [`/admin/users/${user.id}`, json({ disabled: null }, 'PATCH')],
      [`/admin/users/${user.id}`, json({ roles: null }, 'PATCH')],
    ];
    for (const [path, init] of requests) {
      const { body, status: answered } = await call(app, path, bearer(admin.token, init));
      expect([answered, body['code']]).toEqual([400, 'validation_failed']);
    }
    expect(await status(app, user.token)).toBe(200);
  });

  it('ask for a time that is none', async () => {
    const admin = await newAdmin(app);
    const times = [
      '2009-W01-1',
      '2009-123',
      '20260101',
      '2026-01-31',
      '2026-01-01T00:00:00,5Z',
      // Another time in each zone that a server can be in.
      '2026-01-31T12:00:00',
    ];
    for (const time of times) {
      for (const name of ['since', 'until']) {
        const { status: answered } = await call(
          app,
          `/admin/audit?${name}=${encodeURIComponent(time)}`,
          bearer(admin.token),
        );
        expect([name, time, answered]).toEqual([name, time, 400]);
      }
    }
  });

  it('leave nobody but an invitation as administrator', async () => {
    const admin = await newAdmin(app);
    await app.nest.get(Registration, { strict: false }).invite(newName(), ['admin'], OPERATOR);
    const { status: answered, body } = await call(
      app,
      '/users/me',
      bearer(admin.token, { method: 'DELETE' }),
    );
    expect([answered, body['code']]).toEqual([409, 'last_administrator']);
  });

  it('make ever more API tokens by ending some, or have the feed tell of them', async () => {
    const user = await newLogin(app);
    const rows = Array.from({ length: 1000 }, (_, index) => ({
      id: `t${user.id}${index}`,
      user_id: user.id,
      name: 'x',
      secret_hash: 'x',
      scopes: '',
      created_at: app.clock.now(),
      ended_at: app.clock.now(),
    }));
    await app.db.insertInto('api_tokens').values(rows).execute();
    const make = async () =>
      (await call(app, '/api-tokens', bearer(user.token, json({ name: 'x' })))).status;
    expect(await make()).toBe(409);
    await app.db.updateTable('api_tokens').set({ created_at: 0, ended_at: 0 }).execute();
    expect(await make()).toBe(201);
    await call(app, '/api-tokens', bearer(user.token, { method: 'DELETE' }));
    expect(parts((await call(app, '/revocations')).text).claims).toMatchObject({ tokens: [] });
    await app.nest.get(ApiTokenPruning, { strict: false }).prune();
    const left = await app.db.selectFrom('api_tokens').select('id').execute();
    expect(left).toHaveLength(1);
  });
});
