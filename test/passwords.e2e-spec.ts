import bcrypt from 'bcrypt';
import { sql } from 'kysely';
import pg from 'pg';
import { Passwords } from '../src/passwords/passwords.js';
import { Account } from '../src/users/account.js';
import { startApp, type TestApp, urlOf } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  logIn,
  newLogin,
  newName,
  PASSWORD,
  register,
} from './support/client.js';
import { DATABASES } from './support/databases.js';
import { newAdmin } from './support/principals.js';
import { parts } from './support/tokens.js';
import { until } from './support/until.js';

const hashOf = async (app: TestApp, id: string) =>
  await app.db
    .selectFrom('users')
    .select(['password_hash', 'password_version'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();

const store = (app: TestApp, id: string, hash: string) =>
  app.db.updateTable('users').set({ password_hash: hash }).where('id', '=', id).execute();

describe.each(DATABASES)('on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database, environment: { ARGON2_MEMORY_KIB: '128', ARGON2_TIME: '2' } });
  });
  afterAll(() => app.close());

  it('replaces a weaker hash at login, and the tokens of before stay good', async () => {
    const user = await newLogin(app);
    const weaker =
      '$argon2id$v=19$m=64,t=1,p=1$' + (await cheapHash(PASSWORD)).split('$').slice(-2).join('$');
    await store(app, user.id, weaker);
    await logIn(app, user);
    const { password_hash, password_version } = await hashOf(app, user.id);
    expect(password_hash).toMatch(/^\$argon2id\$v=19\$m=128,t=2,p=1\$/);
    expect(password_version).toBe(1);
    await logIn(app, user);
    expect((await hashOf(app, user.id)).password_hash).toBe(password_hash);
    expect((await call(app, '/secure-data', bearer(user.token))).status).toBe(200);
  });

  it('takes a bcrypt hash brought from elsewhere, and replaces it at login', async () => {
    const user = await register(app);
    await store(app, user.id, (await bcrypt.hash(PASSWORD, 4)).replace('$2b$', '$2y$'));
    const wrong = await call(app, '/token', form({ ...user, password: 'wrong wrong' }));
    expect(wrong.status).toBe(401);
    expect((await hashOf(app, user.id)).password_hash).toMatch(/^\$2y\$/);
    await logIn(app, user);
    expect((await hashOf(app, user.id)).password_hash).toMatch(/^\$argon2id\$v=19\$m=128/);
  });

  it('takes a PBKDF2 hash brought from elsewhere, and replaces it at login', async () => {
    const user = await register(app);
    // As passlib made it of this password.
    const hash = '$pbkdf2-sha256$1$VQ$1p9xOsolBTP6/0Sr4w4VffO8ACmo/RfG5GiKjJzBVPI';
    await store(app, user.id, hash);
    const wrong = await call(app, '/token', form({ ...user, password: 'wrong wrong' }));
    expect(wrong.status).toBe(401);
    expect((await hashOf(app, user.id)).password_hash).toBe(hash);
    await logIn(app, user);
    expect((await hashOf(app, user.id)).password_hash).toMatch(/^\$argon2id\$v=19\$m=128/);
  });

  it('replaces a hash once, however many log in together', async () => {
    const user = await register(app);
    await store(app, user.id, await bcrypt.hash(PASSWORD, 4));
    await Promise.all(Array.from({ length: 8 }, () => logIn(app, user)));
    await logIn(app, user);
  });

  it.each([
    [
      'memory that would end the process',
      '$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$' + 'A'.repeat(43),
    ],
    ['work for hours', `$2b$31$${'a'.repeat(53)}`],
    ['iterations for an hour', `$pbkdf2-sha256$4294967295$c2FsdA$${'A'.repeat(43)}`],
    ['bytes that are none', `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(13)}$${'A'.repeat(43)}`],
    ['nonsense', 'x'],
  ])('fails the login of a stored hash that asks for %s', async (_, hash) => {
    const user = await register(app);
    await store(app, user.id, hash);
    const started = performance.now();
    const { status, body } = await call(app, '/token', form({ ...user }));
    expect([status, body['code']]).toEqual([401, 'login_failed']);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  describe('a login that had to wait cannot outlive', () => {
    type User = Awaited<ReturnType<typeof newLogin>>;
    const NEXT = 'another river under nine moons';
    const account = () => app.nest.get(Account, { strict: false });
    const ENDS: [string, (user: User) => Promise<unknown>][] = [
      ['a disable', ({ id }) => account().disable(id, { id: 'cli' })],
      ['a delete', ({ id }) => account().delete(id, { id: 'cli' })],
      ['a password change', (user) => changePassword(user)],
    ];
    const changePassword = async ({ token, password }: User) => {
      const passwords = { current_password: password, new_password: NEXT };
      const { status } = await call(app, '/users/me/password', bearer(token, json(passwords)));
      expect(status).toBe(204);
    };
    /** All but the one that the user changed the password with. */
    const otherSessions = ({ id, token }: User) =>
      app.db
        .selectFrom('sessions')
        .select('id')
        .where('user_id', '=', id)
        .where('ended_at', 'is', null)
        .where('id', '!=', parts(token).claims['sid'] as string)
        .execute();

    it.each(ENDS)('%s, while it waited for its hash', async (_, end) => {
      const user = await newLogin(app);
      const turn = holdNextHash(app);
      const waiting = call(app, '/token', form({ ...user }));
      await turn.reached;
      await end(user);
      turn.come();
      const { status, body } = await waiting;
      expect([status, body['code']]).toEqual([401, 'login_failed']);
      expect(await otherSessions(user)).toEqual([]);
    });

    // On SQLite there is one writer at a time, and nothing to lock.
    if (database === 'sqlite') return;
    describe('what is being done', () => {
      let other: pg.Client;
      beforeEach(async () => {
        other = new pg.Client(urlOf(app));
        await other.connect();
        await other.query('begin');
      });
      afterEach(() => other.end());

      const oneWaits = async () => {
        const waiting = sql<{ count: number }>`
          select count(*)::int as count from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'
        `;
        await until(async () => (await waiting.execute(app.db)).rows[0]!.count, 1, 20_000);
      };

      it.each([
        ['a disable', 'update users set disabled_at = 1 where id = $1'],
        ['a delete', 'delete from users where id = $1'],
        ['a password change', 'update users set password_version = 2 where id = $1'],
      ])('to its user meanwhile: %s', async (_, change) => {
        const user = await newLogin(app);
        await other.query('select 1 from users where id = $1 for update', [user.id]);
        await other.query(change, [user.id]);
        const waiting = call(app, '/token', form({ ...user }));
        await oneWaits();
        await other.query('commit');
        expect((await waiting).body['code']).toBe('login_failed');
      });

      it.each(ENDS.filter(([name]) => name !== 'a delete'))(
        '%s that came when its session was not yet written',
        async (_, end) => {
          const user = await newLogin(app);
          await other.query('select 1 from users where id = $1 for share', [user.id]);
          const ended = end(user);
          await oneWaits();
          await other.query(
            `insert into sessions select (jsonb_populate_record(null::sessions,
               to_jsonb(s) || '{"id": "late", "refresh_id": "late"}')).*
             from sessions s where user_id = $1`,
            [user.id],
          );
          await other.query('commit');
          await ended;
          expect(await otherSessions(user)).toEqual([]);
          await app.db.deleteFrom('sessions').where('id', '=', 'late').execute();
        },
      );
    });
  });
});

/** The next password that is compared waits for its turn until it is told that it has come. */
function holdNextHash(app: TestApp): { reached: Promise<void>; come: () => void } {
  const passwords = app.nest.get(Passwords, { strict: false });
  let reach!: () => void;
  let come!: () => void;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const turn = new Promise<void>((resolve) => (come = resolve));
  const verify = passwords.verify.bind(passwords);
  passwords.verify = async (...parameters) => {
    passwords.verify = verify;
    reach();
    await turn;
    return verify(...parameters);
  };
  return { reached, come };
}

describe('the hash queue', () => {
  let app: TestApp;
  let passwords: Passwords;
  beforeAll(async () => {
    // Real parameters, so that hashing takes as long as it does in production.
    app = await startApp({ environment: { ARGON2_MEMORY_KIB: '19456', ARGON2_TIME: '2' } });
    passwords = app.nest.get(Passwords, { strict: false });
  });
  afterAll(() => app.close());

  /** Does something while an address, or all registrations together, have their share of it. */
  async function whileFull<T>(
    owner: (index: number) => { address: string; purpose: 'login' | 'registration' },
    work: () => Promise<T>,
  ): Promise<T> {
    const state = { full: true };
    const holders = Array.from({ length: 256 }, async (_, index) => {
      while (state.full) await passwords.hash(owner(index), PASSWORD);
    });
    try {
      return await work();
    } finally {
      state.full = false;
      await Promise.all(holders);
    }
  }

  it('answers 503 with Retry-After when an address has its share of it, and counts no attempt', async () => {
    const user = await newLogin(app);
    await whileFull(
      () => ({ address: '127.0.0.1', purpose: 'login' }),
      async () => {
        const { status, body, headers } = await call(app, '/token', form({ ...user }));
        expect([status, body['error'], body['code']]).toEqual([
          503,
          'temporarily_unavailable',
          'busy',
        ]);
        expect(headers.get('retry-after')).toBe('2');
        const attempts = await app.db.selectFrom('attempts').select('count').execute();
        expect(attempts.map(({ count }) => count)).toEqual([0, 0, 0]);
        expect((await call(app, '/secure-data', bearer(user.token))).status).toBe(200);
      },
    );
    await logIn(app, user);
  });

  it('keeps places for logins and administrators while registrations flood it', async () => {
    const [user, admin] = [await register(app), await newAdmin(app)];
    await whileFull(
      (index) => ({ address: `192.0.2.${index}`, purpose: 'registration' }),
      async () => {
        const refused = await call(
          app,
          '/users',
          json({ username: newName(), password: PASSWORD }),
        );
        expect([refused.status, refused.body['code']]).toEqual([503, 'busy']);
        const [created] = await Promise.all([
          call(app, '/admin/users', bearer(admin.token, json({ username: newName() }))),
          logIn(app, user),
        ]);
        expect(created.status).toBe(201);
      },
    );
  });
});

/** argon2id with less than the application's own parameters. */
async function cheapHash(password: string): Promise<string> {
  const { hash } = await import('@node-rs/argon2');
  return hash(password, { memoryCost: 64, timeCost: 1, parallelism: 1 });
}
