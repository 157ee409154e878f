import { Controller, Get, UseGuards } from '@nestjs/common';
import { LastUses } from '../src/api-tokens/last-uses.js';
import { JwtAuthGuard } from '../src/auth/jwt-auth.guard.js';
import { RequireScopes } from '../src/auth/require-scopes.js';
import { Account } from '../src/users/account.js';
import { startApp, type TestApp } from './support/app.js';
import { type Answer, bearer, call, form, json, newLogin, PASSWORD } from './support/client.js';
import { DATABASES } from './support/databases.js';
import { newAdmin } from './support/principals.js';

const OPERATOR = { id: 'cli' };

@UseGuards(JwtAuthGuard)
@RequireScopes('admin')
@Controller('for-admins')
class ForAdminsController {
  @Get()
  read(): { message: string } {
    return { message: 'for admins' };
  }
}

interface ApiToken {
  id: string;
  name: string;
  scopes: string[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  token: string;
}

describe.each(DATABASES)('API tokens on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database, module: { controllers: [ForAdminsController] } });
  });
  afterAll(() => app.close());

  const make = (token: string, fields: object = {}): Promise<Answer<ApiToken>> =>
    call(app, '/api-tokens', bearer(token, json({ name: 'ci', ...fields })));
  const list = async (token: string) =>
    (await call<ApiToken[]>(app, '/api-tokens', bearer(token))).body;
  const code = async (token: string, path = '/secure-data'): Promise<unknown> => {
    const { status, body } = await call(app, path, bearer(token));
    return status === 200 ? 'ok' : body['code'];
  };

  it('are shown once, and are good wherever a bearer is', async () => {
    const user = await newLogin(app);
    const { status, headers, body } = await make(user.token, { expires_in: 86_400 });
    expect(status).toBe(201);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9A-Za-z]{16}$/),
      name: 'ci',
      scopes: ['profile'],
      created_at: new Date(app.clock.now()).toISOString(),
      expires_at: new Date(app.clock.now() + 86_400_000).toISOString(),
      last_used_at: null,
      token: expect.stringMatching(/^lk_api_[0-9A-Za-z]{16}_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}$/),
    });
    for (let use = 0; use < 3; use++) {
      const answer = await call(app, '/secure-data', bearer(body.token));
      expect(answer.body).toEqual({ message: `Only ${user.username} can see this data` });
    }
    const { token: secret, ...shown } = body;
    expect(await list(user.token)).toEqual([shown]);
    const rows = JSON.stringify(await app.db.selectFrom('api_tokens').selectAll().execute());
    expect(rows).not.toContain(secret.split('_')[3]);
    expect(app.log()).not.toContain(secret);
  });

  it('note when they were last used, later and together', async () => {
    const user = await newLogin(app);
    const { body } = await make(user.token);
    await code(body.token);
    expect((await list(user.token))[0]?.last_used_at).toBeNull();
    await app.nest.get(LastUses, { strict: false }).write();
    expect((await list(user.token))[0]?.last_used_at).toBe(new Date(app.clock.now()).toISOString());
  });

  it('note them of however many, and of none that has ended', async () => {
    const user = await newLogin(app);
    const { token, id: ended } = (await make(user.token)).body;
    await code(token);
    await call(app, `/api-tokens/${ended}`, bearer(user.token, { method: 'DELETE' }));
    const ids = Array.from({ length: 450 }, (_, index) => `many-${user.id}-${index}`);
    const one = { user_id: user.id, name: 'x', secret_hash: 'x', scopes: '', created_at: 1 };
    await app.db
      .insertInto('api_tokens')
      .values(ids.map((id) => ({ id, ...one })))
      .execute();
    const uses = app.nest.get(LastUses, { strict: false });
    for (const [index, id] of ids.entries()) uses.note(id, 1 + index);
    await uses.write();
    const rows = await app.db
      .selectFrom('api_tokens')
      .select(['id', 'last_used_at'])
      .where('user_id', '=', user.id)
      .execute();
    expect(new Map(rows.map((row) => [row.id, row.last_used_at]))).toEqual(
      new Map([...ids.map((id, index) => [id, 1 + index] as const), [ended, null]]),
    );
  });

  it('ask the database on the first use, and not on the second', async () => {
    const user = await newLogin(app);
    const { body } = await make(user.token);
    expect(await code(body.token)).toBe('ok');
    await app.db
      .updateTable('api_tokens')
      .set({ secret_hash: 'x'.repeat(43) })
      .execute();
    expect(await code(body.token)).toBe('ok');
    app.clock.advance(50);
    await app.advance(251);
    expect(await code(body.token)).toBe('token_invalid');
  });

  it('can be introspected, which is no use of them, and be revoked by whoever has one', async () => {
    const user = await newLogin(app);
    const { token } = (await make(user.token, { expires_in: 60 })).body;
    const ask = async (text: string) =>
      (await call(app, '/introspect', bearer(user.token, form({ token: text })))).body;
    expect(await ask(token)).toEqual({
      active: true,
      iss: app.config.issuer,
      sub: user.id,
      username: user.username,
      client_id: 'latchkey',
      scope: 'profile',
      token_type: 'bearer',
      exp: Math.floor(app.clock.now() / 1000 + 60),
    });
    await app.nest.get(LastUses, { strict: false }).write();
    expect((await list(user.token))[0]?.last_used_at).toBeNull();
    expect(await ask(`${token.slice(0, -1)}_`)).toEqual({ active: false });
    expect((await call(app, '/revoke', form({ token }))).status).toBe(200);
    expect(await ask(token)).toEqual({ active: false });
    expect(await code(token)).toBe('token_revoked');
  });

  it('expire to the second', async () => {
    const user = await newLogin(app);
    const { body } = await make(user.token, { expires_in: 60 });
    expect(await code(body.token)).toBe('ok');
    await app.advance(59.999);
    expect(await code(body.token)).toBe('ok');
    await app.advance(0.001);
    expect(await code(body.token)).toBe('token_expired');
    expect(await code(body.token)).toBe('token_expired');
  });

  it('end one by one, or all at once, and nobody else’s', async () => {
    const [user, other] = [await newLogin(app), await newLogin(app)];
    const made = [await make(user.token), await make(user.token), await make(user.token)];
    const [one, two, three] = made.map(({ body }) => body) as [ApiToken, ApiToken, ApiToken];
    for (const { token } of [one, two]) expect(await code(token)).toBe('ok');
    const end = (id: string, caller: string) =>
      call(app, `/api-tokens/${id}`, bearer(caller, { method: 'DELETE' }));
    expect((await end(one.id, other.token)).status).toBe(404);
    expect(await code(one.token)).toBe('ok');
    expect((await end(one.id, user.token)).status).toBe(204);
    expect(await code(one.token)).toBe('token_revoked');
    expect((await end(one.id, user.token)).status).toBe(404);
    for (const id of ['x', '%00', '..%2f']) expect((await end(id, user.token)).status).toBe(404);
    const all = await call(app, '/api-tokens', bearer(user.token, { method: 'DELETE' }));
    expect(all.status).toBe(204);
    for (const { token } of [two, three]) expect(await code(token)).toBe('token_revoked');
    expect(await list(user.token)).toEqual([]);
  });

  it('have never more rights than their owner has now', async () => {
    const admin = await newAdmin(app);
    const account = app.nest.get(Account, { strict: false });
    const { body } = await make(admin.token, { scopes: ['admin', 'profile'] });
    const asAdmin = () => code(body.token, '/for-admins');
    const scope = async () => {
      const request = bearer(body.token, form({ token: body.token }));
      return (await call(app, '/introspect', request)).body['scope'];
    };
    // The second time it is remembered.
    expect([await asAdmin(), await asAdmin(), await scope()]).toEqual([
      'ok',
      'ok',
      'admin profile',
    ]);
    await account.setRoles(admin.id, ['user'], OPERATOR);
    expect([await asAdmin(), await scope()]).toEqual(['scope_missing', 'profile']);
    expect(await code(body.token)).toBe('ok');
    await account.setRoles(admin.id, ['admin'], OPERATOR);
    expect([await asAdmin(), await scope()]).toEqual(['ok', 'admin profile']);
    await account.disable(admin.id, OPERATOR);
    expect(await code(body.token)).toBe('token_revoked');
    await account.enable(admin.id, OPERATOR);
    expect(await code(body.token)).toBe('ok');
    await account.delete(admin.id, OPERATOR);
    expect(await code(body.token)).toBe('token_revoked');
    await app.advance(3601); // nothing is forgotten sooner
    expect(await code(body.token)).toBe('token_invalid');
  });

  it('cannot be made with more than the caller has', async () => {
    const user = await newLogin(app);
    for (const scopes of [['admin'], ['profile', 'nope'], ['']]) {
      const { status, body } = await make(user.token, { scopes });
      expect([status, (body as unknown as { error: string }).error]).toEqual([
        400,
        'invalid_scope',
      ]);
    }
    expect((await make(user.token, { scopes: [] })).body.scopes).toEqual([]);
  });

  it.each([
    ['a line break in the name', { name: 'a\r\nSet-Cookie: x=1' }],
    ['a NUL in the name', { name: 'a\0' }],
    ['no name', { name: '' }],
    ['a long name', { name: 'x'.repeat(101) }],
    ['a name that is no text', { name: 7 }],
    ['a fraction of a second', { expires_in: 0.5 }],
    ['no time at all', { expires_in: 0 }],
    ['more than ten years', { expires_in: 315_360_001 }],
    ['scopes that are no list', { scopes: 'profile' }],
    ['a scope twice', { scopes: ['profile', 'profile'] }],
    ['an owner', { user_id: 'x' }],
  ])('are not made with %s', async (_, fields) => {
    const user = await newLogin(app);
    expect((await make(user.token, fields)).status).toBe(400);
  });

  it('open no route of the account, so that a leaked one cannot make another', async () => {
    const user = await newLogin(app);
    const { token, id } = (await make(user.token)).body;
    const requests: [string, RequestInit][] = [
      ['/users/me', {}],
      ['/users/me', { method: 'DELETE' }],
      [
        '/users/me/password',
        json({ current_password: PASSWORD, new_password: 'nine slow herons' }),
      ],
      ['/sessions', {}],
      ['/sessions/others', { method: 'DELETE' }],
      ['/api-tokens', {}],
      ['/api-tokens', json({ name: 'another' })],
      [`/api-tokens/${id}`, { method: 'DELETE' }],
    ];
    for (const [path, init] of requests) {
      const { status, body } = await call(app, path, bearer(token, init));
      expect([path, status, body['code']]).toEqual([path, 403, 'session_required']);
    }
    expect((await call(app, '/logout', bearer(token, { method: 'POST' }))).status).toBe(204);
    expect(await code(token)).toBe('ok');
  });

  it('are refused with one character changed, and one of a known id with another secret', async () => {
    const user = await newLogin(app);
    const { token } = (await make(user.token)).body;
    const { token: another } = (await make(user.token)).body;
    const at = token.length - 10;
    const changed = token.slice(0, at) + (token[at] === 'x' ? 'y' : 'x') + token.slice(at + 1);
    expect(await code(changed)).toBe('token_invalid');
    expect(await code(another.replace(/^lk_api_[^_]+/, token.slice(0, 23)))).toBe('token_invalid');
    expect(await code('lk_api_x')).toBe('token_invalid');
  });

  it('ask for a login of the last five minutes', async () => {
    const user = await newLogin(app);
    await app.advance(300);
    expect((await make(user.token)).status).toBe(201);
    await app.advance(1);
    const { status, headers, body } = await make(user.token);
    expect([status, body]).toEqual([
      401,
      {
        error: 'insufficient_user_authentication',
        error_description: 'A more recent login is required',
        code: 'login_too_old',
      },
    ]);
    expect(headers.get('www-authenticate')).toBe(
      'Bearer realm="latchkey", error="insufficient_user_authentication", ' +
        'error_description="A more recent login is required", max_age="300"',
    );
    const deletion = await call(app, '/users/me', bearer(user.token, { method: 'DELETE' }));
    expect([deletion.status, deletion.body['code']]).toEqual([401, 'login_too_old']);
  });

  it('are named when the password changes, and end with it on request', async () => {
    const user = await newLogin(app);
    const { token, id } = (await make(user.token)).body;
    const change = (current: string, next: string, fields = {}) =>
      call<{ api_tokens: ApiToken[] }>(
        app,
        '/users/me/password',
        bearer(user.token, json({ current_password: current, new_password: next, ...fields })),
      );
    const first = await change(PASSWORD, 'nine slow herons at dawn');
    expect(first.status).toBe(200);
    expect(first.body.api_tokens).toMatchObject([{ id, name: 'ci' }]);
    expect(await code(token)).toBe('ok');
    const second = await change('nine slow herons at dawn', 'ten quick otters at dusk', {
      end_api_tokens: true,
    });
    expect([second.status, second.text]).toEqual([204, '']);
    expect(await code(token)).toBe('token_revoked');
  });

  it('are a thousand for one user at most', async () => {
    const user = await newLogin(app);
    const row = (index: number) => ({
      id: `t${user.id}${index}`,
      user_id: user.id,
      name: 'x',
      secret_hash: 'x',
      scopes: '',
      created_at: 0,
    });
    const rows = Array.from({ length: 1000 }, (_, index) => row(index));
    await app.db.insertInto('api_tokens').values(rows).execute();
    const { status, body } = await make(user.token);
    expect([status, (body as unknown as { code: string }).code]).toEqual([
      409,
      'too_many_api_tokens',
    ]);
  });
});
