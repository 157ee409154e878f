import { unavailable } from '../src/errors.js';
import { TokenRevocation } from '../src/users/token-revocation.js';
import { startApp, type TestApp } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  newLogin,
  newName,
  PASSWORD,
  register,
} from './support/client.js';
import { newInvited } from './support/principals.js';
import { exchange } from './support/raw-answer.js';
import { parts } from './support/tokens.js';
import { Visitor } from './support/visitor.js';

const APP = 'https://app.example.com';
const ACCESS = 'latchkey';
const REFRESH = 'latchkey_refresh';

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ environment: { CORS_ORIGINS: APP, PASSWORD_GRANT: 'off' } });
});
afterAll(() => app.close());

/** Who the cookies speak for; undefined for nobody. */
async function whoIs(visitor: Visitor): Promise<unknown> {
  return (await visitor.ask('/users/me')).body['username'];
}

describe.each([
  ['http://localhost:3000', ACCESS, REFRESH, ''],
  ['https://auth.example.com', '__Host-latchkey', '__Secure-latchkey_refresh', '; Secure'],
])('with the issuer %s', (issuer, access, refresh, secure) => {
  let other: TestApp;
  beforeAll(async () => {
    await app.close();
    other = await startApp({ environment: { ISSUER: issuer, SIGNING_ALGORITHM: 'RS256' } });
  });
  afterAll(async () => {
    await other.close();
    app = await startApp({ environment: { CORS_ORIGINS: APP, PASSWORD_GRANT: 'off' } });
  });

  const withAttributes = (name: string, maxAge: number, value = '[\\w.-]+') =>
    expect.stringMatching(
      `^${name}=${value}; Max-Age=${maxAge}; Path=/; HttpOnly; SameSite=Lax${secure}$`,
    ) as string;

  it('gives and takes cookies of these names and attributes, and of no other', async () => {
    const visitor = new Visitor(other);
    const { username, password } = await register(other);
    const given = [withAttributes(access, 1800), withAttributes(refresh, 1_209_600)];
    const taken = [withAttributes(access, 0, ''), withAttributes(refresh, 0, '')];
    expect((await visitor.ask('/login', json({ username, password }))).setCookies).toEqual(given);
    expect((await visitor.post('/login/refresh')).setCookies).toEqual(given);
    expect(await whoIs(visitor)).toBe(username);
    expect((await visitor.post('/logout')).setCookies).toEqual(taken);
  });

  it('reads no cookie of the other name', async () => {
    const visitor = await Visitor.loggedIn(other);
    const [swapped, value] = [access === ACCESS ? '__Host-latchkey' : ACCESS, visitor.cookies];
    const headers = { cookie: `${swapped}=${value.get(access)}` };
    expect((await call(other, '/users/me', { headers })).body['code']).toBe('token_missing');
  });

  it('gives no cookie that a browser would find too large', async () => {
    const user = await register(other, '\u{20000}'.repeat(64));
    const { setCookies } = await new Visitor(other).ask('/login', json(user));
    expect(setCookies).toHaveLength(2);
    for (const line of setCookies) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4096);
  });
});

describe('POST /login', () => {
  it.each([
    ['JSON', json],
    ['a form', form],
  ])('logs in with %s, also while there is no password grant', async (_, body) => {
    const { username, password } = await register(app);
    const visitor = new Visitor(app);
    const { status } = await visitor.ask('/login', body({ username, password, scope: 'profile' }));
    expect(status).toBe(200);
    expect(await whoIs(visitor)).toBe(username);
    const byGrant = await call(app, '/token', form({ username, password }));
    expect(byGrant.body['code']).toBe('grant_unsupported');
  });

  it('tells how long, and what for, and shows no token', async () => {
    const { username, password } = await register(app);
    const visitor = new Visitor(app);
    for (const answer of [
      await visitor.ask('/login', json({ username, password })),
      await visitor.post('/login/refresh'),
    ]) {
      expect([answer.status, answer.body]).toEqual([
        200,
        {
          expires_in: 1800,
          refresh_expires_in: 1_209_600,
          session_expires_in: 7_776_000,
          scope: 'profile',
        },
      ]);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      for (const token of visitor.cookies.values()) expect(answer.text).not.toContain(token);
    }
  });

  it('gives the scope that was asked for, and refuses one that the user does not have', async () => {
    const { username, password } = await register(app);
    const visitor = new Visitor(app);
    const refused = await visitor.ask('/login', json({ username, password, scope: 'admin' }));
    expect([refused.status, refused.body['code'], refused.setCookies]).toEqual([
      400,
      'scope_invalid',
      [],
    ]);
  });

  it('refuses a wrong password as POST /token does, and gives no cookie', async () => {
    const { username } = await register(app);
    const visitor = new Visitor(app);
    const wrong = await visitor.ask('/login', json({ username, password: 'wrong' }));
    const unknown = await visitor.ask('/login', json({ username: newName(), password: PASSWORD }));
    expect([wrong.status, wrong.body['code'], wrong.setCookies]).toEqual([401, 'login_failed', []]);
    expect(unknown.body).toEqual(wrong.body);
  });

  it.each<[string, RequestInit]>([
    ['no body', { method: 'POST' }],
    ['no password', json({ username: 'alice' })],
    ['a password that is no text', json({ username: 'alice', password: { $ne: '' } })],
    ['a scope that is none', json({ username: 'alice', password: 'x', scope: 'a  b' })],
  ])('refuses %s', async (_, init) => {
    expect((await new Visitor(app).ask('/login', init)).status).toBe(400);
  });

  it('reads no password from the query string', async () => {
    const { username, password } = await register(app);
    const query = new URLSearchParams({ username, password }).toString();
    const answer = await new Visitor(app).ask(`/login?${query}`, json({ username, password }));
    expect([answer.status, answer.setCookies]).toEqual([400, []]);
    expect(app.log()).not.toContain(password);
  });

  it('ends the session that the browser had', async () => {
    const user = await register(app);
    const visitor = await Visitor.loggedIn(app, user);
    const before = new Map(visitor.cookies);
    const next = await Visitor.loggedIn(app);
    for (const [name, value] of before) next.cookies.set(name, value);
    await next.ask('/login', json(await register(app)));
    expect((await visitor.ask('/users/me')).body['code']).toBe('token_revoked');
    expect((await next.ask('/users/me')).status).toBe(200);
  });

  it('is a login though the session that the browser had cannot be ended now', async () => {
    const user = await register(app);
    const visitor = await Visitor.loggedIn(app, user);
    const revocation = app.nest.get(TokenRevocation, { strict: false });
    const away = () => Promise.reject(unavailable('database_unavailable', 1));
    Object.assign(revocation, { endSession: away });
    const { username, password } = user;
    const { status } = await visitor.ask('/login', json({ username, password }));
    Reflect.deleteProperty(revocation, 'endSession'); // of the object, not of the class
    expect(status).toBe(200);
    expect((await visitor.ask('/secure-data')).status).toBe(200);
  });

  it('leaves no refresh token with somebody who must choose a password first', async () => {
    const { username, password } = await newInvited(await withGrant());
    const visitor = await Visitor.loggedIn(app);
    await visitor.ask('/login', json({ username, password }));
    expect([...visitor.cookies.keys()]).toEqual([ACCESS]);
    expect((await visitor.ask('/users/me')).body['code']).toBe('password_change_required');
  });
});

/** Starts anew with the password grant, which the helpers use. */
async function withGrant(): Promise<TestApp> {
  await app.close();
  app = await startApp({ environment: { CORS_ORIGINS: APP } });
  return app;
}

describe('POST /login/refresh', () => {
  it('puts other tokens into both cookies', async () => {
    const visitor = await Visitor.loggedIn(app);
    const before = new Map(visitor.cookies);
    expect((await visitor.post('/login/refresh')).status).toBe(200);
    for (const name of [ACCESS, REFRESH]) {
      expect(visitor.cookies.get(name)).not.toBe(before.get(name));
    }
    expect((await visitor.ask('/users/me')).status).toBe(200);
  });

  it('works with an access token that expired, or is gone, or is nonsense', async () => {
    const visitor = await Visitor.loggedIn(app);
    await app.advance(3600);
    expect((await visitor.ask('/users/me')).body['code']).toBe('token_expired');
    expect((await visitor.post('/login/refresh')).status).toBe(200);
    visitor.cookies.delete(ACCESS);
    expect((await visitor.post('/login/refresh')).status).toBe(200);
    visitor.cookies.set(ACCESS, 'nonsense');
    expect((await visitor.post('/login/refresh')).status).toBe(200);
    expect((await visitor.ask('/users/me')).status).toBe(200);
  });

  it.each<[string, (visitor: Visitor) => unknown]>([
    ['is gone', ({ cookies }) => cookies.delete(REFRESH)],
    ['is nonsense', ({ cookies }) => cookies.set(REFRESH, 'nonsense')],
    ['expired', () => app.advance(15 * 86_400)],
    ['is of a session that ended', ({ cookies }) => endElsewhere(cookies.get(REFRESH)!)],
    ['was used before', (visitor) => useTwice(visitor)],
  ])('says that the session ended when the token %s, and takes the cookies', async (_, spoil) => {
    const visitor = await Visitor.loggedIn(app);
    await spoil(visitor);
    const { status, body, setCookies } = await visitor.post('/login/refresh');
    expect([status, body['error'], body['code']]).toEqual([400, 'invalid_grant', 'session_ended']);
    expect(setCookies).toHaveLength(2);
    expect([...visitor.cookies]).toEqual([]);
  });

  const endElsewhere = (token: string) => call(app, '/logout', form({ refresh_token: token }));

  async function useTwice(visitor: Visitor): Promise<void> {
    const before = new Map(visitor.cookies);
    await visitor.post('/login/refresh');
    await visitor.post('/login/refresh');
    for (const [name, value] of before) visitor.cookies.set(name, value);
  }

  it('gives tabs that refresh at once the same refresh token', async () => {
    const visitor = await Visitor.loggedIn(app);
    const tabs = Array.from({ length: 5 }, () => {
      const tab = new Visitor(app);
      for (const [name, value] of visitor.cookies) tab.cookies.set(name, value);
      return tab;
    });
    const answers = await Promise.all(tabs.map((tab) => tab.post('/login/refresh')));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(new Set(tabs.map(({ cookies }) => cookies.get(REFRESH))).size).toBe(1);
  });
});

describe('POST /logout', () => {
  it('ends the session of the cookies, and takes them', async () => {
    const visitor = await Visitor.loggedIn(app);
    const before = new Map(visitor.cookies);
    const { status, text, headers } = await visitor.post('/logout');
    expect([status, text]).toEqual([204, '']);
    expect(headers.get('clear-site-data')).toBe('"storage"');
    expect([...visitor.cookies]).toEqual([]);
    for (const [name, value] of before) visitor.cookies.set(name, value);
    expect((await visitor.ask('/users/me')).body['code']).toBe('token_revoked');
    expect((await visitor.post('/login/refresh')).body['code']).toBe('session_ended');
  });

  it.each([ACCESS, REFRESH])('needs no more than the cookie %s, and no fresh one', async (name) => {
    const visitor = await Visitor.loggedIn(app);
    const other = new Visitor(app);
    other.cookies.set(name, visitor.cookies.get(name)!);
    if (name === ACCESS) await app.advance(3600);
    expect((await other.post('/logout')).status).toBe(204);
    expect((await visitor.post('/login/refresh')).body['code']).toBe('session_ended');
  });

  it('ends each session that is named: body, header, cookies', async () => {
    await withGrant();
    const [byCookie, inBody, byHeader] = [
      await Visitor.loggedIn(app),
      await Visitor.loggedIn(app),
      await newLogin(app),
    ];
    const before = new Map(byCookie.cookies);
    const body = json({ refresh_token: inBody.cookies.get(REFRESH) });
    expect((await byCookie.ask('/logout', bearer(byHeader.token, body))).status).toBe(204);
    for (const [name, value] of before) byCookie.cookies.set(name, value);
    for (const visitor of [byCookie, inBody]) {
      expect((await visitor.ask('/users/me')).body['code']).toBe('token_revoked');
    }
    expect((await call(app, '/users/me', bearer(byHeader.token))).status).toBe(401);
  });

  it('says nothing of cookies to a client that has none', async () => {
    const { setCookies, headers } = await new Visitor(app).post('/logout', {});
    expect([setCookies, headers.get('clear-site-data')]).toEqual([[], null]);
  });

  it('is not done by GET', async () => {
    const visitor = await Visitor.loggedIn(app);
    expect((await visitor.ask('/logout')).status).toBe(404);
    expect((await visitor.ask('/users/me')).status).toBe(200);
  });
});

describe('a stale cookie', () => {
  it.each(['nonsense', 'x'.repeat(5000), 'a.b.c', 'lk_rt_x'])(
    'makes neither login nor refresh nor logout fail: %#',
    async (value) => {
      const { username, password } = await register(app);
      for (const [path, init, expected] of [
        ['/login', json({ username, password }), 200],
        ['/login/refresh', { method: 'POST' }, 400],
        ['/logout', { method: 'POST' }, 204],
      ] as const) {
        const visitor = new Visitor(app);
        visitor.cookies.set(ACCESS, value).set(REFRESH, value);
        const { status, body } = await visitor.ask(path, init);
        expect([path, status]).toEqual([path, expected]);
        if (status === 400) expect(body['code']).toBe('session_ended');
      }
    },
  );

  it.each(['nonsense', 'x'.repeat(5000)])('opens nothing that is guarded: %#', async (value) => {
    const visitor = new Visitor(app);
    visitor.cookies.set(ACCESS, value);
    const { status, body } = await visitor.ask('/users/me');
    expect([status, body['code']]).toEqual([401, 'token_invalid']);
  });
});

describe('the access cookie', () => {
  it('opens what is guarded, the first time and again', async () => {
    const user = await register(app);
    const visitor = await Visitor.loggedIn(app, user);
    for (let times = 0; times < 3; times++) expect(await whoIs(visitor)).toBe(user.username);
  });

  it('is ignored beside an Authorization header, whatever is in that one', async () => {
    await withGrant();
    const visitor = await Visitor.loggedIn(app);
    const { username, token } = await newLogin(app);
    const ask = (authorization: string) => visitor.ask('/users/me', { headers: { authorization } });
    expect((await ask(`Bearer ${token}`)).body['username']).toBe(username);
    expect((await ask('Bearer x.y.z')).body['code']).toBe('token_invalid');
    expect((await ask('Bearer')).body['code']).toBe('token_missing');
    expect((await ask('Basic YWxpY2U6eA==')).body['code']).toBe('token_missing');
  });

  it('is not taken for a refresh token, nor the other way round', async () => {
    const visitor = await Visitor.loggedIn(app);
    const [access, refresh] = [visitor.cookies.get(ACCESS)!, visitor.cookies.get(REFRESH)!];
    visitor.cookies.set(ACCESS, refresh).set(REFRESH, access);
    expect((await visitor.ask('/users/me')).body['code']).toBe('token_invalid');
    expect((await visitor.post('/login/refresh')).body['code']).toBe('session_ended');
  });

  it('says of whom and what it is no more than a bearer does', async () => {
    const visitor = await Visitor.loggedIn(app);
    const { header, claims } = parts(visitor.cookies.get(ACCESS)!);
    expect(header['typ']).toBe('at+jwt');
    expect(claims['aud']).toBe(app.config.issuer);
  });
});

describe('the Cookie header', () => {
  let access: string;
  beforeAll(async () => {
    access = (await Visitor.loggedIn(app)).cookies.get(ACCESS)!;
  });
  const present = (cookie: string) => call(app, '/users/me', { headers: { cookie } });

  it.each([
    ['alone', (c: string) => c],
    ['first', (c: string) => `${c}; theme=dark`],
    ['last', (c: string) => `theme=dark; x; =y; ${c}`],
    ['without a space', (c: string) => `theme=dark;${c}`],
    ['after a name that ends alike', (c: string) => `my${c}; not-${c}; ${c}`],
  ])('is read with the cookie %s', async (_, header) => {
    expect((await present(header(`${ACCESS}=${access}`))).status).toBe(200);
  });

  it.each([
    ['another case', (token: string) => `Latchkey=${token}`],
    ['a space before =', (token: string) => `latchkey =${token}`],
    ['a space of Latin-1 before it', (token: string) => `x=y; \u00a0latchkey=${token}`],
    ['no value', () => 'latchkey='],
    ['no =', () => 'latchkey'],
  ])('has no cookie of ours with %s', async (_, header) => {
    expect((await present(header(access))).body['code']).toBe('token_missing');
  });

  it.each(['"x"', 'x y', 'x,y'])('has nothing in it that is mended: %s', async (value) => {
    expect((await present(`${ACCESS}=${value}`)).body['code']).toBe('token_invalid');
  });

  it('is refused with the same cookie twice, in one header and in two', async () => {
    const twice = await present(`${ACCESS}=${access}; ${ACCESS}=${access}`);
    expect([twice.status, twice.body['code']]).toEqual([400, 'request_malformed']);
    for (const path of ['/login/refresh', '/logout']) {
      const [answer] = await exchange(
        app,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n` +
          `Cookie: ${REFRESH}=a\r\nCookie: ${REFRESH}=b\r\nContent-Length: 0\r\n\r\n`,
      );
      expect([path, answer?.status]).toEqual([path, 400]);
    }
  });
});

/** Each of the routes that change something, as a page with cookies calls it. */
const CHANGES: Record<string, (visitor: Visitor, page: Record<string, string>) => Promise<number>> =
  {
    'POST /login': async (visitor, page) => {
      const { username, password } = await register(app);
      return (await visitor.ask('/login', json({ username, password }), page)).status;
    },
    'POST /login/refresh': async (visitor, page) =>
      (await visitor.post('/login/refresh', page)).status,
    'POST /logout': async (visitor, page) => (await visitor.post('/logout', page)).status,
    'DELETE /users/me': async (visitor, page) =>
      (await visitor.ask('/users/me', { method: 'DELETE' }, page)).status,
  };

describe.each(Object.entries(CHANGES))('%s with cookies', (_, change) => {
  it.each<[string, () => Record<string, string>]>([
    ['this origin', () => ({ 'sec-fetch-site': 'same-origin' })],
    [
      'this origin, which is named as well',
      () => ({ 'sec-fetch-site': 'same-origin', origin: app.url }),
    ],
    ['the issuer', () => ({ origin: 'http://localhost:3000' })],
    [
      'the issuer, as another site',
      () => ({ 'sec-fetch-site': 'cross-site', origin: 'http://localhost:3000' }),
    ],
    ['the address on loopback that was called', () => ({ origin: app.url })],
    ['one of CORS_ORIGINS', () => ({ 'sec-fetch-site': 'same-site', origin: APP })],
  ])('is for pages of %s', async (_page, page) => {
    expect(await change(await Visitor.loggedIn(app), page())).toBeLessThan(300);
  });

  it.each<[string, () => Record<string, string>]>([
    ['nowhere', () => ({})],
    ['another site', () => ({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })],
    ['another site, in an old browser', () => ({ origin: 'https://evil.example' })],
    ['another site that hides', () => ({ 'sec-fetch-site': 'cross-site', origin: 'null' })],
    ['an opaque origin', () => ({ origin: 'null' })],
    [
      'a sibling domain',
      () => ({ 'sec-fetch-site': 'same-site', origin: 'https://x.example.com' }),
    ],
    ['no page', () => ({ 'sec-fetch-site': 'none' })],
    ['somebody who says it twice', () => ({ 'sec-fetch-site': 'same-origin, same-origin' })],
    ['another port', () => ({ 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:1' })],
    ['the issuer, with a slash', () => ({ origin: 'http://localhost:3000/' })],
    ['the issuer, in capitals', () => ({ origin: 'HTTP://LOCALHOST:3000' })],
    [
      'a name that begins like the issuer',
      () => ({ origin: 'http://localhost:3000.evil.example' }),
    ],
    ['a name that ends like a permitted one', () => ({ origin: 'https://evil-app.example.com' })],
    ['a permitted name by http', () => ({ origin: 'http://app.example.com' })],
    [
      'somebody who names it elsewhere',
      () => ({ referer: `${app.url}/`, 'x-forwarded-host': 'evil.example' }),
    ],
  ])('is not for pages of %s', async (_page, page) => {
    const visitor = await Visitor.loggedIn(app);
    const before = new Map(visitor.cookies);
    expect(await change(visitor, page())).toBe(403);
    expect(visitor.cookies).toEqual(before);
    expect((await visitor.ask('/users/me')).status).toBe(200);
  });
});

it('tells why a page is refused', async () => {
  const visitor = await Visitor.loggedIn(app);
  const { status, body } = await visitor.post('/login/refresh', { origin: 'https://evil.example' });
  expect([status, body['error'], body['code']]).toEqual([403, 'access_denied', 'origin_forbidden']);
});

it('asks no origin of who only reads, or has no cookie', async () => {
  const visitor = await Visitor.loggedIn(app);
  const elsewhere = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
  expect((await visitor.ask('/users/me', {}, elsewhere)).status).toBe(200);
  expect((await visitor.ask('/users/me', { method: 'HEAD' }, elsewhere)).status).toBe(200);
  expect((await new Visitor(app).post('/logout', elsewhere)).status).toBe(204);
});

it.each([
  ['localhost:3000', 'http://localhost:3000', 204],
  ['localhost', 'http://localhost', 204],
  ['[::1]:8080', 'http://[::1]:8080', 204],
  ['localhost:8080', 'https://localhost:8080', 403],
  // DNS rebinding: a name of the attacker's that came to mean this address.
  ['evil.example', 'http://evil.example', 403],
  ['localhost.evil.example:3001', 'http://localhost.evil.example:3001', 403],
  ['192.168.1.5:3000', 'http://192.168.1.5:3000', 403],
])(
  'called as %s, takes a page of %s for its own only on loopback: %s',
  async (host, origin, expected) => {
    const cookie = `${ACCESS}=${(await Visitor.loggedIn(app)).cookies.get(ACCESS)}`;
    const [answer] = await exchange(
      app,
      `POST /logout HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\nCookie: ${cookie}\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(answer?.status).toBe(expected);
  },
);

it('keeps cookies out of the log', async () => {
  const visitor = await Visitor.loggedIn(app);
  await visitor.post('/login/refresh');
  for (const token of visitor.cookies.values()) expect(app.log()).not.toContain(token);
});
