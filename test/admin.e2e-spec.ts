import { Account } from '../src/users/account.js';
import { Registration } from '../src/users/registration.js';
import { startApp, type TestApp } from './support/app.js';
import { bearer, call, form, json, logIn, newLogin, newName, PASSWORD } from './support/client.js';
import { DATABASES } from './support/databases.js';
import { newAdmin } from './support/principals.js';

interface AdminUser {
  id: string;
  username: string;
  roles: string[];
  disabled: boolean;
  one_time_password?: string;
}
interface UserPage {
  users: AdminUser[];
  next_cursor: string | null;
}
interface Entry {
  id: number;
  at: string;
  event: string;
  user_id: string | null;
  actor: string;
  detail: unknown;
}

describe.each(DATABASES)('administration on %s', (database) => {
  let app: TestApp;
  let admin: { id: string; username: string; token: string };
  beforeEach(async () => {
    app = await startApp({ database });
    admin = await newAdmin(app);
  });
  afterEach(() => app.close());

  const ask = <Body = Record<string, unknown>>(path: string, init: RequestInit = {}) =>
    call<Body>(app, path, bearer(admin.token, init));
  const patch = (id: string, change: object) =>
    ask<AdminUser & { code?: string }>(`/admin/users/${id}`, json(change, 'PATCH'));
  const code = async (token: string) => {
    const { status, body } = await call(app, '/users/me', bearer(token));
    return status === 200 ? 'ok' : body['code'];
  };

  it('creates users with a password, or invites them with one that must be changed', async () => {
    const username = newName();
    const created = await ask<AdminUser>('/admin/users', json({ username, password: PASSWORD }));
    expect([created.status, created.body]).toEqual([
      201,
      expect.objectContaining({ username, roles: ['user'], disabled: false }),
    ]);
    expect(created.body).not.toHaveProperty('one_time_password');
    expect(await code(await logIn(app, { username, password: PASSWORD }))).toBe('ok');

    const invitee = newName();
    const { body } = await ask<AdminUser>(
      '/admin/users',
      json({ username: invitee, roles: ['admin'] }),
    );
    const login = { username: invitee, password: body.one_time_password! };
    expect(await code(await logIn(app, login))).toBe('password_change_required');

    const again = await ask('/admin/users', json({ username: username.toUpperCase() }));
    expect([again.status, again.body['code']]).toEqual([409, 'username_taken']);
    for (const wrong of [
      { username: 'a b' },
      { username: newName(), password: 'short' },
      { username: newName(), roles: ['root'] },
      { username: newName(), roles: [] },
      { username: newName(), roles: ['user', 'user'] },
      { username: newName(), gen: 7 },
    ]) {
      expect((await ask('/admin/users', json(wrong))).status).toBe(400);
    }
  });

  it('lists users by pages, each once, though some come and go meanwhile', async () => {
    const registration = app.nest.get(Registration, { strict: false });
    const create = (username: string) =>
      registration.create({ username, password: PASSWORD, roles: ['user'] }, { id: 'cli' });
    for (let index = 0; index < 7; index++) await create(`page-${index}_x`);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`;
      const { body } = await ask<UserPage>(`/admin/users?limit=3&search=PAGE-${query}`);
      seen.push(...body.users.map(({ username }) => username));
      cursor = body.next_cursor;
      if (seen.length > 3) continue;
      const [first, , last] = body.users;
      await patch(first!.id, { disabled: true });
      // The one that the next page begins after, and others on both sides of it.
      await ask(`/admin/users/${last!.id}`, { method: 'DELETE' });
      await create('page-0_y');
      await create('page-2_y');
    } while (cursor !== null);
    expect(seen).toEqual([
      ...['page-0_x', 'page-1_x', 'page-2_x', 'page-2_y'],
      ...['page-3_x', 'page-4_x', 'page-5_x', 'page-6_x'],
    ]);
    const found = async (search: string) =>
      (await ask<UserPage>(`/admin/users?search=${search}`)).body.users.length;
    expect([
      await found('page-3'),
      await found('page%'),
      await found('page_'),
      await found('zz'),
    ]).toEqual([1, 0, 0, 0]);
    const noName = `cursor=${Buffer.from('\0').toString('base64url')}`;
    for (const wrong of [
      ...['limit=0', 'limit=201', 'limit=x', 'cursor=%00', 'cursor=a', 'other=1', noName],
    ]) {
      expect([wrong, (await ask(`/admin/users?${wrong}`)).status]).toEqual([wrong, 400]);
    }
  });

  it('disables, enables and gives roles, at once for every token', async () => {
    const user = await newLogin(app);
    expect((await patch(user.id, { disabled: true })).body).toMatchObject({ disabled: true });
    expect(await code(user.token)).toBe('token_revoked');
    const { status } = await call(app, '/token', form({ ...user }));
    expect(status).toBe(401);
    const { body } = await patch(user.id, { disabled: false, roles: ['user', 'admin'] });
    expect(body).toMatchObject({ disabled: false, roles: ['user', 'admin'] });
    const token = await logIn(app, user);
    expect((await call(app, '/admin/users', bearer(token))).status).toBe(200);
    await patch(user.id, { roles: ['user'] });
    expect(await code(token)).toBe('token_revoked');
    const events = await app.db
      .selectFrom('audit')
      .select(['event', 'actor', 'address'])
      .where('user_id', '=', user.id)
      .where('actor', '=', admin.id)
      .orderBy('id')
      .execute();
    expect(events.map(({ event }) => event)).toEqual([
      'user_disabled',
      'user_enabled',
      'authz_change',
      'authz_change',
    ]);
    expect(events[0]?.address).toBe('127.0.0.1');
    for (const wrong of [
      { disabled: 'yes' },
      { roles: ['root'] },
      { roles: [] },
      { username: 'x' },
    ]) {
      expect((await patch(user.id, wrong)).status).toBe(400);
    }
  });

  it('deletes users, and knows none of another id', async () => {
    const user = await newLogin(app);
    const remove = (id: string) => ask(`/admin/users/${id}`, { method: 'DELETE' });
    expect((await remove(user.id)).status).toBe(204);
    expect(await code(user.token)).toBe('token_revoked');
    for (const id of [user.id, 'x', '%00']) {
      expect((await remove(id)).status).toBe(404);
      expect((await patch(id, { disabled: true })).status).toBe(404);
    }
  });

  it('keeps the last administrator, also when two remove each other at once', async () => {
    const refused = { status: 409, code: 'last_administrator' };
    const outcome = ({ status, body }: { status: number; body: { code?: string } }) => ({
      status,
      code: body.code,
    });
    expect(outcome(await patch(admin.id, { disabled: true }))).toEqual(refused);
    expect(outcome(await patch(admin.id, { roles: ['user'] }))).toEqual(refused);
    expect(outcome(await ask(`/admin/users/${admin.id}`, { method: 'DELETE' }))).toEqual(refused);
    expect(outcome(await ask('/users/me', { method: 'DELETE' }))).toEqual(refused);
    expect((await patch(admin.id, { roles: ['user', 'admin'] })).status).toBe(200);
    admin.token = await logIn(app, { ...admin, password: PASSWORD });

    for (let round = 0; round < 5; round++) {
      const other = await newAdmin(app);
      const account = app.nest.get(Account, { strict: false });
      const outcomes = await Promise.allSettled([
        account.disable(admin.id, { id: other.id }),
        account.disable(other.id, { id: admin.id }),
      ]);
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      await account.enable(admin.id, { id: 'cli' });
      await account.disable(other.id, { id: 'cli' });
    }
  });

  it('asks for a login of the last five minutes before it changes anything', async () => {
    const user = await newLogin(app);
    await app.advance(301);
    expect((await ask('/admin/users')).status).toBe(200);
    const writes: [string, RequestInit][] = [
      ['/admin/users', json({ username: newName() })],
      [`/admin/users/${user.id}`, json({ disabled: true }, 'PATCH')],
      [`/admin/users/${user.id}`, { method: 'DELETE' }],
    ];
    for (const [path, init] of writes) {
      const { status, body } = await ask(path, init);
      expect([status, body['code']]).toEqual([401, 'login_too_old']);
    }
  });

  it('shows what happened, the newest first, by user, event and time', async () => {
    const user = await newLogin(app);
    const from = app.clock.now();
    await app.advance(60);
    await patch(user.id, { roles: ['user'] });
    await patch(user.id, { disabled: true });
    const read = async (query: string) =>
      (await ask<{ entries: Entry[]; next_cursor: string | null }>(`/admin/audit?${query}`)).body;
    const mine = await read(`user=${user.id}`);
    expect(mine.entries.map(({ event }) => event)).toEqual([
      'user_disabled',
      'authz_change',
      'authn_login_success',
      'user_created',
    ]);
    expect(mine.entries[1]).toMatchObject({ actor: admin.id, detail: { roles: ['user'] } });
    const later = new Date(from + 1).toISOString();
    expect((await read(`user=${user.id}&since=${later}`)).entries).toHaveLength(2);
    expect((await read(`user=${user.id}&until=${later}`)).entries).toHaveLength(2);
    expect((await read(`event=user_disabled`)).entries).toHaveLength(1);
    const first = await read('limit=2');
    const second = await read(`limit=200&cursor=${first.next_cursor}`);
    const ids = [...first.entries, ...second.entries].map(({ id }) => id);
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
    expect(new Set(ids).size).toBe(ids.length);
    expect(second.next_cursor).toBeNull();
    for (const wrong of ['user=x', 'event=A', 'since=yesterday', 'cursor=eA', 'limit=0']) {
      expect((await ask(`/admin/audit?${wrong}`)).status).toBe(400);
    }
  });
});
