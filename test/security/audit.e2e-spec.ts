import { type RawBuilder, sql } from 'kysely';
import { Audit } from '../../src/audit/audit.js';
import { KeyRotation } from '../../src/keys/key-rotation.js';
import { KeyStore } from '../../src/keys/key-store.js';
import { RootSecret } from '../../src/keys/root-secret.js';
import { RootSecrets } from '../../src/keys/root-secrets.js';
import type { Role } from '../../src/roles.js';
import { Account } from '../../src/users/account.js';
import { UserExport } from '../../src/users/export.js';
import { UserImport } from '../../src/users/import.js';
import { readUserLine } from '../../src/users/import-line.js';
import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import {
  bearer,
  call,
  form,
  json,
  logIn,
  newLogin,
  newName,
  openSession,
  PASSWORD,
  register,
  send,
  type TokenBody,
} from '../support/client.js';
import { type DatabaseKind, DATABASES } from '../support/databases.js';
import { withOracle } from '../support/oracle.js';
import { parts } from '../support/tokens.js';

const NEXT = 'five new oaks by the lake';
const OPERATOR = { id: 'cli', address: '192.0.2.1' };

describe.each(DATABASES)('The audit, on %s,', (database) => {
  let app: TestApp;
  let account: Account;
  beforeAll(async () => {
    app = await startApp({ database, environment: { TRUST_PROXY: '1' } });
    account = app.nest.get(Account, { strict: false });
  });
  afterAll(() => app.close());

  const rows = () => app.db.selectFrom('audit').selectAll().orderBy('id').execute();

  /** What was written meanwhile, without its id and its time, which must be now. */
  async function written(work: () => Promise<unknown>) {
    const last = (await rows()).at(-1)?.id ?? 0;
    await work();
    return (await rows())
      .filter(({ id }) => id > last)
      .map(({ id, at, detail, ...row }) => {
        expect([at, id]).toEqual([app.clock.now(), expect.any(Number)]);
        return { ...row, detail: detail === null ? null : (JSON.parse(detail) as object) };
      });
  }

  const entry = (event: string, userId: string | null, more: object = {}) => ({
    event,
    user_id: userId,
    actor: userId ?? 'anyone',
    address: null,
    session_id: null,
    detail: null,
    ...more,
  });

  it('tells of a registration and a login: who, what, when, from where', async () => {
    const address = newAddress();
    const username = newName();
    let id = '';
    let token = '';
    const found = await written(async () => {
      const init = from(address, json({ username, password: PASSWORD }));
      id = (await call<{ id: string }>(app, '/users', init)).body.id;
      const login = from(address, form({ username, password: PASSWORD }));
      token = (await call<{ access_token: string }>(app, '/token', login)).body.access_token;
    });
    const session_id = parts(token).claims['sid'];
    expect(found).toEqual([
      entry('user_created', id, { actor: 'anyone', address, detail: { roles: ['user'] } }),
      entry('authn_login_success', id, { address, session_id }),
    ]);
  });

  it('tells of a failed login by the user, where there is one, and never the name as typed', () =>
    withOracle(app, async ({ call, secret }) => {
      const address = newAddress();
      const user = await newLogin(app);
      // People type their password where the name belongs.
      const typed = secret(`Typed-${newName()}`);
      const found = await written(async () => {
        await call('/token', from(address, form({ username: user.username, password: typed })));
        await call('/token', from(address, form({ username: typed, password: user.password })));
        await call('/token', from(address, form({ username: typed, password: user.password })));
      });
      const fail = (id: string | null) =>
        entry('authn_login_fail', id, {
          actor: 'anyone',
          address,
          detail: { name: expect.stringMatching(/^[\w-]{43}$/) },
        });
      expect(found).toEqual([fail(user.id), fail(null), fail(null)]);
      // The same name is known again, and told from another.
      const names = found.map((row) => (row as { detail: { name: string } }).detail.name);
      expect(new Set(names).size).toBe(2);
      expect(names[1]).toBe(names[2]);
    }));

  it('tells once that a limit was reached', async () => {
    const address = newAddress();
    const { username } = await newLogin(app);
    const found = await written(async () => {
      for (let i = 0; i < 32; i++) {
        await call(app, '/token', from(address, form({ username, password: 'wrong wrong' })));
      }
    });
    const events = found.map((row) => (row as { event: string }).event);
    expect(events.filter((event) => event === 'authn_login_fail')).toHaveLength(30);
    const reached = found.filter(({ event }) => event !== 'authn_login_fail');
    expect(reached).toEqual([
      entry('authn_login_fail_max', null, {
        address,
        detail: { limit: 'pair', name: expect.stringMatching(/^[\w-]{43}$/) },
      }),
    ]);
  });

  it('tells of a password that was changed, or not', async () => {
    const address = newAddress();
    const user = await newLogin(app);
    const change = (current_password: string) =>
      call(
        app,
        '/users/me/password',
        from(address, bearer(user.token, json({ current_password, new_password: NEXT }))),
      );
    const found = await written(async () => {
      await change('wrong wrong');
      await change(user.password);
    });
    const session_id = parts(user.token).claims['sid'];
    expect(found).toEqual([
      entry('authn_password_change_fail', user.id, {
        address,
        session_id,
        detail: { name: expect.any(String) },
      }),
      entry('authn_password_change', user.id, { address, session_id }),
    ]);
  });

  it('tells of what an operator does to an account, and keeps it when the user is gone', async () => {
    const { id } = await newLogin(app);
    const found = await written(async () => {
      await account.setRoles(id, ['admin'], OPERATOR);
      await account.disable(id, OPERATOR);
      await account.enable(id, OPERATOR);
      await account.delete(id, OPERATOR);
    });
    const by = { actor: 'cli', address: OPERATOR.address };
    expect(found).toEqual([
      entry('authz_change', id, { ...by, detail: { roles: ['admin'] } }),
      entry('user_disabled', id, by),
      entry('user_enabled', id, by),
      entry('user_deleted', id, by),
    ]);
  });

  it('tells that a user deleted the account', async () => {
    const address = newAddress();
    const { id, token } = await newLogin(app);
    const found = await written(() =>
      call(app, '/users/me', from(address, bearer(token, { method: 'DELETE' }))),
    );
    expect(found).toEqual([entry('user_deleted', id, { address })]);
  });

  it('tells of API tokens that are made and ended, whatever ends them', async () => {
    const address = newAddress();
    const { id, token, password } = await newLogin(app);
    const send = (path: string, init: RequestInit) =>
      call<{ id: string }>(app, path, from(address, bearer(token, init)));
    const remove = (path: string) => send(path, { method: 'DELETE' });
    const ends: ((made: string) => Promise<{ status: number }>)[] = [
      (made) => remove(`/api-tokens/${made}`),
      () => remove('/api-tokens'),
      () =>
        send(
          '/users/me/password',
          json({ current_password: password, new_password: NEXT, end_api_tokens: true }),
        ),
      () => remove('/users/me'),
    ];
    const made: string[] = [];
    const found = await written(async () => {
      for (const end of ends) {
        const { body } = await send('/api-tokens', json({ name: 'x', scopes: ['profile'] }));
        made.push(body.id);
        expect((await end(body.id)).status).toBe(204);
      }
    });
    const bothOf = (api_token: string | undefined) => [
      entry('api_token_created', id, { address, detail: { api_token, scopes: ['profile'] } }),
      entry('api_token_ended', id, { address, detail: { api_token } }),
    ];
    const session_id = parts(token).claims['sid'];
    expect(found).toEqual([
      ...bothOf(made[0]),
      ...bothOf(made[1]),
      ...bothOf(made[2]),
      entry('authn_password_change', id, { address, session_id }),
      ...bothOf(made[3]),
      entry('user_deleted', id, { address }),
    ]);
  });

  it('tells of a revoked token, and of sessions that were ended', async () => {
    const address = newAddress();
    const user = await register(app);
    const [one, two, three, four, five] = [
      await openSession(app, user),
      await openSession(app, user),
      await openSession(app, user),
      await openSession(app, user),
      await openSession(app, user),
    ];
    const sid = (session: TokenBody) => parts(session.access_token).claims['sid'];
    const send = (path: string, init: RequestInit) => call(app, path, from(address, init));
    const found = await written(async () => {
      await send('/revoke', form({ token: one.access_token }));
      await send('/revoke', form({ token: one.access_token }));
      await send('/logout', bearer(one.access_token, { method: 'POST' }));
      const remove = bearer(three.access_token, { method: 'DELETE' });
      await send(`/sessions/${String(sid(two))}`, remove);
      await send('/sessions/others', remove);
      await send('/sessions/others', remove);
      await send('/revoke', form({ token: three.refresh_token }));
    });
    const ended = (session: TokenBody) =>
      entry('session_ended', user.id, { address, session_id: sid(session) });
    // Those that end together do so in no order.
    if (found[3]!.session_id !== sid(four)) found.splice(3, 2, found[4]!, found[3]!);
    expect(found).toEqual([
      entry('authn_token_revoked', user.id, { address, session_id: sid(one) }),
      ended(one),
      ended(two),
      ended(four),
      ended(five),
      ended(three),
    ]);
  });

  it('tells of keys that rotate, and come under a new secret', async () => {
    const get = <T>(type: new (...args: never[]) => T) => app.nest.get(type, { strict: false });
    const old = get(RootSecrets).current;
    const next = new RootSecret('next'.repeat(8));
    const under = (secrets: RootSecrets) =>
      new KeyRotation(
        app.db,
        app.config,
        app.clock,
        new KeyStore(app.db, secrets),
        new Audit(app.clock),
      );
    const { kid } = await app.db
      .selectFrom('signing_keys')
      .select('kid')
      .where('activate_at', 'is', null)
      .executeTakeFirstOrThrow();
    const found = await written(async () => {
      await get(KeyRotation).rotate('cli');
      await under(new RootSecrets(next, old)).reencrypt('cli');
      await under(new RootSecrets(old, next)).reencrypt('cli');
    });
    const reencrypted = entry('keys_reencrypted', null, { actor: 'cli', detail: { count: 3 } });
    expect(found).toEqual([
      entry('key_rotated', null, { actor: 'cli', detail: { kid, signs_in_seconds: 900 } }),
      reencrypted,
      reencrypted,
    ]);
  });

  it('tells of users who come from elsewhere, and of everybody who looks at the hashes', async () => {
    const line = { username: newName(), password_hash: `$2b$12$${'a'.repeat(53)}` };
    const found = await written(async () => {
      const user = readUserLine(Buffer.from(JSON.stringify(line)));
      await app.nest.get(UserImport, { strict: false }).import([user], OPERATOR);
      await app.nest.get(UserExport, { strict: false }).pages(OPERATOR).next();
    });
    const by = { actor: 'cli', address: OPERATOR.address };
    expect(found).toEqual([
      entry('users_imported', null, { ...by, detail: { count: 1 } }),
      entry('users_exported', null, by),
    ]);
  });

  const CHANGES: [string, RawBuilder<unknown>][] = [
    ['update', sql`update audit set event = 'x'`],
    ['update of one row', sql`update audit set actor = 'x' where id = 1`],
    ['delete', sql`delete from audit`],
    ['delete of one row', sql`delete from audit where id = 1`],
    database === 'postgres'
      ? ['truncate', sql`truncate audit`]
      : [
          'replace',
          sql`insert or replace into audit (id, at, event, actor) values (1, 0, 'x', 'x')`,
        ],
  ];

  it.each(CHANGES)('only grows: the database refuses %s', async (_, statement) => {
    const before = await rows();
    expect(before.length).toBeGreaterThan(0);
    await expect(statement.execute(app.db)).rejects.toThrow(/audit rows are never changed/);
    expect(await rows()).toEqual(before);
  });

  describe('is written with what it tells, or neither is:', () => {
    beforeAll(() => refuseAuditRows(app, database));
    afterAll(() => allowAuditRows(app, database));

    const state = async () => ({
      users: await app.db.selectFrom('users').selectAll().orderBy('id').execute(),
      sessions: await app.db.selectFrom('sessions').selectAll().orderBy('id').execute(),
      revocations: await app.db.selectFrom('revocations').selectAll().execute(),
      audit: await rows(),
    });

    type User = Awaited<ReturnType<typeof newLogin>>;
    const post = (user: User, path: string, body: object) =>
      send(app, path, bearer(user.token, json(body)));
    const roles: Role[] = ['admin'];
    let disabled: string;
    const ACTIONS: [string, (user: User) => Promise<unknown>][] = [
      [
        'registration',
        () => send(app, '/users', json({ username: newName(), password: PASSWORD })),
      ],
      ['login', ({ username, password }) => send(app, '/token', form({ username, password }))],
      [
        'failed login',
        ({ username }) => send(app, '/token', form({ username, password: 'wrong' })),
      ],
      [
        'password change',
        (user) =>
          post(user, '/users/me/password', {
            current_password: user.password,
            new_password: NEXT,
          }),
      ],
      ['deletion', ({ token }) => send(app, '/users/me', bearer(token, { method: 'DELETE' }))],
      ['disabling', ({ id }) => account.disable(id, OPERATOR).catch(() => ({ status: 500 }))],
      ['enabling', () => account.enable(disabled, OPERATOR).catch(() => ({ status: 500 }))],
      ['roles', ({ id }) => account.setRoles(id, roles, OPERATOR).catch(() => ({ status: 500 }))],
    ];

    it.each(ACTIONS)('%s', async (_, action) => {
      await allowAuditRows(app, database);
      const user = await newLogin(app);
      const other = await logIn(app, user);
      disabled = (await newLogin(app)).id;
      await account.disable(disabled, OPERATOR);
      await refuseAuditRows(app, database);
      const before = await state();
      expect(await action(user)).toMatchObject({ status: 500 });
      expect(await state()).toEqual(before);
      for (const token of [user.token, other]) {
        expect((await call(app, '/users/me', bearer(token))).status).toBe(200);
      }
    });
  });
});

/** From now on no row can be written: what was to be told must not happen either. */
async function refuseAuditRows(app: TestApp, database: DatabaseKind): Promise<void> {
  await allowAuditRows(app, database);
  if (database === 'sqlite') {
    await sql`
      create trigger no_audit before insert on audit begin select raise(abort, 'no audit'); end
    `.execute(app.db);
    return;
  }
  await sql`
    create function no_audit() returns trigger language plpgsql as
    $$ begin raise exception 'no audit'; end $$
  `.execute(app.db);
  await sql`
    create trigger no_audit before insert on audit for each row execute function no_audit()
  `.execute(app.db);
}

async function allowAuditRows(app: TestApp, database: DatabaseKind): Promise<void> {
  if (database === 'sqlite') await sql`drop trigger if exists no_audit`.execute(app.db);
  else await sql`drop function if exists no_audit cascade`.execute(app.db);
}
