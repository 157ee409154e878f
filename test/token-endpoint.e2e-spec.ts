import { startApp, type TestApp } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  newLogin,
  PASSWORD,
  register,
  type TokenBody,
} from './support/client.js';
import { parts } from './support/tokens.js';

let app: TestApp;
let username: string;
beforeAll(async () => {
  app = await startApp();
  ({ username } = await register(app));
});
afterAll(() => app.close());

const credentials = () => ({ username, password: PASSWORD });

function multipart(fields: Record<string, string>): RequestInit {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  return { method: 'POST', body };
}

describe('POST /token', () => {
  it.each([
    ['a form', () => form({ grant_type: 'password', ...credentials() })],
    ['a form without grant_type', () => form(credentials())],
    ['a form with an empty grant_type', () => form({ grant_type: '', ...credentials() })],
    ['a multipart form, as curl -F sends it', () => multipart(credentials())],
    ['JSON', () => json(credentials())],
    ['JSON with grant_type', () => json({ grant_type: 'password', ...credentials() })],
  ])('takes %s', async (_, init) => {
    const { status, headers, body } = await call<TokenBody>(app, '/token', init());
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 1800,
      refresh_token: expect.any(String),
      refresh_expires_in: 1_209_600,
      session_expires_in: 7_776_000,
      scope: 'profile',
    });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('pragma')).toBe('no-cache');
    expect(headers.get('etag')).toBeNull();
  });

  it('issues an access token in the profile of RFC 9068', async () => {
    const { body } = await call<TokenBody>(app, '/token', form(credentials()));
    const { header, claims } = parts(body.access_token);
    expect(header).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.any(String) });
    const now = app.clock.seconds();
    expect(claims).toEqual({
      iss: 'http://localhost:3000',
      aud: 'http://localhost:3000',
      sub: expect.stringMatching(/^[0-9a-f-]{36}$/),
      client_id: 'latchkey',
      iat: now,
      exp: now + 1800,
      auth_time: now,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      scope: 'profile',
      gen: 1,
      username,
    });
  });

  it.each([
    ['a Basic header with an empty client, as Swagger UI sends it', 'Basic Og=='],
    ['an expired or broken bearer', 'Bearer abc.def.ghi'],
  ])('tolerates %s', async (_, authorization) => {
    const { headers, ...init } = form(credentials());
    const answer = await call(app, '/token', { ...init, headers: { ...headers, authorization } });
    expect(answer.status).toBe(200);
  });

  it('refuses any other client with invalid_client', async () => {
    const { headers, ...init } = form(credentials());
    const answer = await call(app, '/token', {
      ...init,
      headers: { ...headers, authorization: 'Basic Yzpz' },
    });
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ error: 'invalid_client' });
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /);
  });

  it('refuses a client that authenticates in two ways', async () => {
    const { headers, ...init } = form({ ...credentials(), client_id: 'c', client_secret: 's' });
    const answer = await call(app, '/token', {
      ...init,
      headers: { ...headers, authorization: 'Basic Yzpz' },
    });
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  });

  it.each([
    ['no username', { password: PASSWORD }],
    ['an empty username', { username: '', password: PASSWORD }],
    ['no password', { username: 'alice' }],
    ['an empty password', { username: 'alice', password: '' }],
    ['nothing', {}],
    ['a refresh_token without grant_type', { refresh_token: 'x' }],
  ])('refuses %s as invalid_request', async (_, fields: Record<string, string>) => {
    for (const init of [form(fields), json(fields)]) {
      const { status, body } = await call(app, '/token', init);
      expect([status, body['error']]).toEqual([400, 'invalid_request']);
    }
  });

  it.each(['magic', 'PASSWORD', 'constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'refuses grant_type %s as unsupported',
    async (grant) => {
      const { status, body } = await call(
        app,
        '/token',
        form({ grant_type: grant, ...credentials() }),
      );
      expect([status, body['error']]).toEqual([400, 'unsupported_grant_type']);
    },
  );

  it.each([
    ['username twice', (u: string) => `username=${u}&username=${u}&password=${PASSWORD}`],
    ['password twice', (u: string) => `username=${u}&password=a&password=${PASSWORD}`],
    [
      'grant_type twice',
      (u: string) => `grant_type=password&grant_type=x&username=${u}&password=x`,
    ],
    ['scope twice', (u: string) => `scope=profile&scope=admin&username=${u}&password=${PASSWORD}`],
    ['an array in brackets', (u: string) => `username[]=${u}&password=${PASSWORD}`],
    ['an object in brackets', () => 'username[$ne]=x&password[$ne]=x'],
    ['semicolons as separators', (u: string) => `username=${u};password=${PASSWORD}`],
    ['a broken escape', (u: string) => `username=${u}&password=%zz`],
    ['an escape that is no UTF-8', (u: string) => `username=${u}&password=%ff%fe`],
  ])('refuses %s', async (_, body) => {
    const answer = await call(app, '/token', form(body(username)));
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  });

  it.each([
    [1, 'x'],
    ['x', 1],
    [true, 'x'],
    ['x', null],
    [{ a: 1 }, ['x']],
    ['x', { toString: 'x' }],
    [['alice'], 'x'],
    ['x', ['x']],
    [null, null],
    ['alice', false],
  ])('refuses JSON username %j with password %j', async (name, password) => {
    const answer = await call(app, '/token', json({ username: name, password }));
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  });

  it.each(['null', '[]', '"x"', '1', '{', '', '{"username":"a","username":"b","password":"c"}'])(
    'refuses the JSON body %s',
    async (body) => {
      const answer = await call(app, '/token', json(body));
      expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
    },
  );

  it('takes nothing from the query string', async () => {
    const query = `?username=${username}&password=${encodeURIComponent(PASSWORD)}`;
    const inQuery = await call(app, `/token${query}`, form({}));
    expect([inQuery.status, inQuery.body['error']]).toEqual([400, 'invalid_request']);
    const passwordInQuery = await call(app, `/token?password=${PASSWORD}`, form({ username }));
    expect(passwordInQuery.status).toBe(400);
    const both = await call(app, `/token?password=${PASSWORD}`, form(credentials()));
    expect(both.status).toBe(400);
  });

  it('answers only POST', async () => {
    expect((await call(app, '/token')).status).toBe(404);
  });

  it('ignores unknown parameters and never adopts an id of the client', async () => {
    const { status, body } = await call<TokenBody>(
      app,
      '/token',
      form({ ...credentials(), foo: 'bar', jti: 'fixed', sid: 'fixed', access_token: 'fixed' }),
    );
    expect(status).toBe(200);
    expect(parts(body.access_token).claims['jti']).not.toBe('fixed');
    expect(parts(body.access_token).claims['sid']).not.toBe('fixed');
  });

  it.each(['__proto__', '__proto__[password]', 'constructor[prototype][password]', 'toString'])(
    'takes %s for a name like any other, in a form and in a multipart form',
    async (name) => {
      const { username, password } = credentials();
      const fields = new FormData();
      for (const [key, value] of Object.entries({ username, password })) fields.append(key, value);
      fields.append(name, 'polluted');
      const asForm = new URLSearchParams([
        ['username', username],
        ['password', password],
        [name, 'polluted'],
      ]);
      const asked = [{ method: 'POST', body: fields }, form(asForm.toString())];
      for (const init of asked) expect((await call(app, '/token', init)).status).toBe(200);
      const { password: inherited } = {} as { password?: string };
      expect(inherited).toBeUndefined();
      expect((await call(app, '/token', form({ username }))).status).toBe(400);
    },
  );

  it('decodes a plus to a space exactly once', async () => {
    const plus = await register(app, undefined, 'a+b c%2Bd+++++++');
    const answer = await call(
      app,
      '/token',
      form({ username: plus.username, password: plus.password }),
    );
    expect(answer.status).toBe(200);
    const raw = form(`username=${plus.username}&password=a%2Bb+c%252Bd%2B%2B%2B%2B%2B%2B%2B`);
    expect((await call(app, '/token', raw)).status).toBe(200);
  });

  it('gives 20 logins at once 20 tokens of their own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call<TokenBody>(app, '/token', form(credentials()))),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const claims = answers.map(({ body }) => parts(body.access_token).claims);
    expect(new Set(claims.map(({ jti }) => jti)).size).toBe(20);
    expect(new Set(claims.map(({ sid }) => sid)).size).toBe(20);
  });
});

describe('scope', () => {
  it('is all of the user without a request, and what was asked for with one', async () => {
    const { body } = await call<TokenBody>(
      app,
      '/token',
      form({ ...credentials(), scope: 'profile' }),
    );
    expect(body.scope).toBe('profile');
    expect(parts(body.access_token).claims['scope']).toBe('profile');
  });

  it.each([
    'admin',
    'nonsense',
    'profile admin',
    'profile  profile',
    ' profile',
    'prof"ile',
    'prófile',
  ])('refuses %j: unknown, or more than the user has', async (scope) => {
    const { status, body } = await call(app, '/token', form({ ...credentials(), scope }));
    expect([status, body['error']]).toEqual([400, 'invalid_scope']);
  });

  it('is judged after the password, so that it tells nothing about a user', async () => {
    const { status, body } = await call(
      app,
      '/token',
      form({ username, password: 'wrong wrong wrong', scope: 'admin' }),
    );
    expect([status, body['error']]).toEqual([401, 'invalid_grant']);
  });
});

describe('a failed login', () => {
  const attempt = (name: string, password: string) =>
    call(app, '/token', form({ username: name, password }));

  it('is answered in the same words for a wrong password, an unknown and a disabled user', async () => {
    const disabled = await newLogin(app);
    await app.db
      .updateTable('users')
      .set({ disabled_at: app.clock.now() })
      .where('id', '=', disabled.id)
      .execute();
    const answers = [
      await attempt(username, 'wrong wrong wrong'),
      await attempt('nobody', PASSWORD),
      await attempt(disabled.username, PASSWORD),
      await attempt(username, 'x'.repeat(300)),
      await attempt('not a username!', PASSWORD),
      await attempt(username, `${PASSWORD}\0x`),
      await attempt(username, ` ${PASSWORD} `),
    ];
    for (const { status, body, headers, text } of answers) {
      expect(status).toBe(401);
      expect(body).toEqual({
        error: 'invalid_grant',
        error_description: 'The username or password is wrong',
        code: 'login_failed',
      });
      expect(headers.get('www-authenticate')).toBe('Bearer realm="latchkey"');
      expect(text).toBe(answers[0]!.text);
      const names = (answer: Headers) => [...answer.keys()].sort();
      expect(names(headers)).toEqual(names(answers[0]!.headers));
    }
  });

  it('finds a user under any spelling of the one canonical name', async () => {
    const { password } = await register(app, 'Ｍallory.K');
    for (const spelling of ['mallory.k', 'MALLORY.K', 'Mallory.\u212a']) {
      expect((await attempt(spelling, password)).status).toBe(200);
    }
  });

  it('never logs the password or the name as typed', async () => {
    const canary = `canary-${Math.random().toString(36).slice(2)}-canary`;
    await attempt(canary, canary);
    await call(app, '/token', json(`{"username":"a","password":${canary}}`));
    await call(app, `/token?password=${canary}`, form(credentials()));
    expect(app.log()).toContain('/token');
    expect(app.log()).not.toContain(canary);
  });
});

it('refuses the password grant while PASSWORD_GRANT is off', async () => {
  await app.close();
  app = await startApp({ environment: { PASSWORD_GRANT: 'off' } });
  const user = await register(app);
  const { status, body } = await call(app, '/token', form({ ...user }));
  expect([status, body['error']]).toEqual([400, 'unsupported_grant_type']);
  expect((await call(app, '/secure-data', bearer('x'))).status).toBe(401);
});
