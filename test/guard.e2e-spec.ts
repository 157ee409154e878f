import { Keyring } from '../src/keys/keyring.js';
import { startApp, type TestApp } from './support/app.js';
import { bearer, call, logIn, newLogin, register } from './support/client.js';
import { forgeries } from './support/forgeries.js';
import { rawHttp } from './support/raw-http.js';
import { parts, resign } from './support/tokens.js';

const SECRET = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';

describe.each([
  ['HS256', { JWT_SECRET: SECRET }],
  ['ES256', {}],
  ['RS256', { SIGNING_ALGORITHM: 'RS256' }],
])('with %s', (algorithm, environment: Record<string, string>) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ environment });
  });
  afterAll(() => app.close());

  it('signs with it, and accepts what it signed, the first time and again', async () => {
    const { token } = await newLogin(app);
    expect(parts(token).header['alg']).toBe(algorithm);
    for (let times = 0; times < 3; times++) {
      expect((await call(app, '/secure-data', bearer(token))).status).toBe(200);
    }
  });

  it('accepts none of the forgeries, and tells none from another', async () => {
    const { token } = await newLogin(app);
    const forged = forgeries(app, token);
    expect(forged.length).toBeGreaterThan(77);
    const accepted: string[] = [];
    for (const [name, forgery] of forged) {
      const { status, body, headers } = await call(app, '/secure-data', bearer(forgery));
      const expired = body['code'] === 'token_expired' && /exp 0/.test(name);
      const refused = status === 401 && (body['code'] === 'token_invalid' || expired);
      if (!refused) accepted.push(`${name}: ${status} ${JSON.stringify(body)}`);
      if (!expired) {
        expect(headers.get('www-authenticate')).toBe(
          'Bearer realm="latchkey", error="invalid_token", error_description="The access token is not valid"',
        );
      }
    }
    expect(accepted).toEqual([]);
    expect((await call(app, '/secure-data', bearer(token))).status).toBe(200);
  });

  it.each(['at+jwt', 'AT+JWT', 'application/at+jwt', 'application/AT+JWT'])(
    'takes typ %s for an access token',
    async (typ) => {
      const { header, claims } = parts((await newLogin(app)).token);
      const token = resign(app, { ...header, typ }, claims);
      expect((await call(app, '/secure-data', bearer(token))).status).toBe(200);
    },
  );

  it('lets members of the claims reach nothing but their own meaning', async () => {
    const { header, claims } = parts((await newLogin(app)).token);
    const text = JSON.stringify(claims).replace('{', '{"constructor":{"admin":true},"toString":1,');
    const { status } = await call(app, '/secure-data', bearer(resign(app, header, text)));
    expect(status).toBe(200);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });
});

describe('the Authorization header', () => {
  let app: TestApp;
  let token: string;
  beforeAll(async () => {
    app = await startApp();
    ({ token } = await newLogin(app));
  });
  afterAll(() => app.close());

  const present = (authorization: string, path = '/secure-data') =>
    call(app, path, { headers: { authorization } });

  it.each(['bearer', 'BEARER', 'bEaReR'])('takes the scheme as %s', async (scheme) => {
    expect((await present(`${scheme} ${token}`)).status).toBe(200);
  });

  it('takes several spaces after the scheme', async () => {
    expect((await present(`Bearer   ${token}`)).status).toBe(200);
  });

  it.each([
    ['no header', undefined],
    ['Basic', 'Basic YWxpY2U6eA=='],
    ['Bearer alone', 'Bearer'],
    ['an unknown scheme', 'Token abc'],
  ])('%s presents no credentials: a bare challenge', async (_, authorization) => {
    const init = authorization === undefined ? {} : { headers: { authorization } };
    const { status, body, headers } = await call(app, '/secure-data', init);
    expect(status).toBe(401);
    expect(body).toEqual({
      error: 'unauthorized',
      error_description: 'An access token is required',
      code: 'token_missing',
    });
    expect(headers.get('www-authenticate')).toBe('Bearer realm="latchkey"');
  });

  it.each([
    ['trailing words', (t: string) => `Bearer ${t} trailing words`],
    ['a list in one header', (t: string) => `Bearer ${t}, Bearer ${t}`],
    ['a tab for a space', (t: string) => `Bearer\t${t}`],
    ['the token twice', (t: string) => `Bearer ${t}${t}`],
    ['a foreign character', (t: string) => `Bearer ${t}!`],
  ])('refuses %s', async (_, header) => {
    expect((await present(header(token))).status).toBe(401);
  });

  it('refuses two of them', async () => {
    const answer = await rawHttp(
      app,
      `GET /secure-data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
        `Authorization: Bearer ${token}\r\nauthorization: Bearer ${token}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"error":"invalid_request"');
  });

  it('is the only place a token is looked for', async () => {
    const elsewhere = [
      await call(app, `/secure-data?access_token=${token}`),
      await call(app, '/secure-data', { headers: { cookie: `access_token=${token}` } }),
      await call(app, '/secure-data', { headers: { 'x-access-token': token } }),
      await call(app, '/secure-data', {
        headers: { 'x-user-id': '1', 'x-forwarded-user': 'carol' },
      }),
    ];
    expect(elsewhere.map(({ body }) => body['code'])).toEqual(Array(4).fill('token_missing'));
    expect(app.log()).not.toContain(token);
  });

  it('guards HEAD as it guards GET', async () => {
    expect((await call(app, '/secure-data', { method: 'HEAD' })).status).toBe(401);
    expect((await call(app, '/secure-data', bearer(token, { method: 'HEAD' }))).status).toBe(200);
  });

  it.each([
    '//secure-data',
    '/secure-data/',
    '/SECURE-DATA',
    '/%73ecure-data',
    '/secure-data%2f',
    '/secure-data;x',
    '/secure-data%00',
    '/./secure-data',
    '/x/../secure-data',
  ])('is asked for at %s too, or nothing is there', async (path) => {
    const answer = await rawHttp(
      app,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 (401|404|400) /);
  });
});

describe('time', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ environment: { ACCESS_TOKEN_TTL: '10m' } });
  });
  afterAll(() => app.close());

  it('expires a token after its lifetime and five seconds of leeway, remembered or not', async () => {
    const user = await register(app);
    const [seen, unseen] = [await logIn(app, user), await logIn(app, user)];
    expect((await call(app, '/secure-data', bearer(seen))).status).toBe(200);
    await app.advance(604);
    expect((await call(app, '/secure-data', bearer(seen))).status).toBe(200);
    await app.advance(1);
    for (const token of [seen, unseen]) {
      const { status, body, headers } = await call(app, '/secure-data', bearer(token));
      expect([status, body['error'], body['code']]).toEqual([
        401,
        'invalid_token',
        'token_expired',
      ]);
      expect(headers.get('www-authenticate')).toContain(
        'error_description="The access token expired"',
      );
    }
  });

  it.each(['iat', 'nbf', 'auth_time'])('may be five seconds ahead in %s, not six', async (name) => {
    const { header, claims } = parts((await newLogin(app)).token);
    const ahead = async (seconds: number) => {
      const token = resign(app, header, { ...claims, [name]: app.clock.seconds() + seconds });
      return (await call(app, '/secure-data', bearer(token))).body['code'] ?? 'ok';
    };
    expect([await ahead(5), await ahead(6)]).toEqual(['ok', 'token_invalid']);
  });

  it('does not call a forged token expired', async () => {
    const { token } = await newLogin(app);
    await app.advance(3600);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    expect((await call(app, '/secure-data', bearer(forged))).body['code']).toBe('token_invalid');
  });

  it('answers 503 with Retry-After while it cannot know what is revoked', async () => {
    const { token } = await newLogin(app);
    await call(app, '/secure-data', bearer(token));
    await app.db.schema.alterTable('revocations').renameTo('gone').execute(); // no read succeeds
    app.clock.advance(61);
    await app.nest.get(Keyring, { strict: false }).reload(); // the keys it does know
    const { status, body, headers } = await call(app, '/secure-data', bearer(token));
    expect([status, body['error'], body['code']]).toEqual([
      503,
      'temporarily_unavailable',
      'state_stale',
    ]);
    expect(headers.get('retry-after')).toBe('1');
    expect((await call(app, '/health/ready')).status).toBe(503);
    expect((await call(app, '/health/live')).status).toBe(200);
    await app.db.schema.alterTable('gone').renameTo('revocations').execute();
  });

  it('does not publish keys while it cannot know them, in no answer that a cache would keep', async () => {
    await app.db.schema.alterTable('signing_keys').renameTo('gone').execute();
    app.clock.advance(61);
    const { status, headers } = await call(app, '/.well-known/jwks.json');
    expect([status, headers.get('cache-control')]).toEqual([503, 'no-store']);
    await app.db.schema.alterTable('gone').renameTo('signing_keys').execute();
  });
});

it('verifies with JWT_SECRET_PREVIOUS and signs with JWT_SECRET alone', async () => {
  const previous = 'zK5tWq1nXc8vBm3yLd7hRs0pGf6jTe2u';
  const before = await startApp({ environment: { JWT_SECRET: previous } });
  const { token, username, password } = await newLogin(before);
  await before.close();
  const { database } = before.config;
  const url = database.kind === 'sqlite' ? `sqlite:${database.file}` : database.url;
  const after = await startApp({
    environment: { DATABASE_URL: url, JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: previous },
  });
  expect((await call(after, '/secure-data', bearer(token))).status).toBe(200);
  const fresh = await logIn(after, { username, password });
  expect(parts(fresh).header['kid']).not.toBe(parts(token).header['kid']);
  expect((await call(after, '/.well-known/jwks.json')).body).toEqual({ keys: [] });
  expect((await call(after, '/.well-known/oauth-authorization-server')).body).not.toHaveProperty(
    'jwks_uri',
  );
  await after.close();
});
