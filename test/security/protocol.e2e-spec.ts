import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, form, json, newLogin } from '../support/client.js';
import { withOracle } from '../support/oracle.js';
import { exchange } from '../support/raw-answer.js';
import { expectSound } from '../support/sound-answer.js';

let app: TestApp;
let user: Awaited<ReturnType<typeof newLogin>>;
beforeAll(async () => {
  app = await startApp({ environment: { TRUST_PROXY: '1' } });
  user = await newLogin(app);
});
afterAll(() => app.close());

/** Sends bytes; every answer is sound, and the service goes on. @returns the statuses */
async function statuses(request: string): Promise<number[]> {
  const asked = [...request.matchAll(/^(\w+) (\S+) HTTP\/\d/gm)].map(([, method, path]) => ({
    method: method!,
    path: path!.startsWith('/') ? path! : '/',
  }));
  let found: number[] = [];
  await withOracle(app, async () => {
    const answers = await exchange(app, request);
    answers.forEach((answer, index) => expectSound(asked[index]!, answer));
    found = answers.map(({ status }) => status);
  });
  return found;
}

const HOST = 'Host: x\r\n';
const login = () => new URLSearchParams({ username: user.username, password: user.password });
const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n';

describe('What two servers could read in two ways', () => {
  it.each([
    [
      'chunks, then a length',
      `POST /token HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n`,
    ],
    [
      'chunks twice',
      `POST /token HTTP/1.1\r\n${HOST}${FORM}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunks by another name',
      `POST /token HTTP/1.1\r\n${HOST}${FORM}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a negative length', `POST /token HTTP/1.1\r\n${HOST}${FORM}Content-Length: -1\r\n\r\n`],
    ['a length with a sign', `POST /token HTTP/1.1\r\n${HOST}${FORM}Content-Length: +1\r\n\r\na`],
    ['a length of words', `POST /token HTTP/1.1\r\n${HOST}${FORM}Content-Length: 1 1\r\n\r\na`],
    ['bare line feeds', `GET / HTTP/1.1\nHost: x\n\n`],
    ['a bare carriage return', `GET / HTTP/1.1\r\n${HOST}X-A: b\rc\r\n\r\n`],
    ['a header without a name', `GET / HTTP/1.1\r\n${HOST}: x\r\n\r\n`],
    ['no host', 'GET /health/live HTTP/1.1\r\n\r\n'],
    ['another version', `GET / HTTP/9.9\r\n${HOST}\r\n`],
    [
      'chunk extensions without end',
      `POST /token HTTP/1.1\r\n${HOST}${FORM}Transfer-Encoding: chunked\r\n\r\n1;${'a=b;'.repeat(9000)}\r\na\r\n0\r\n\r\n`,
    ],
  ])('%s is refused once, and nothing after it is read', async (_, request) => {
    const found = await statuses(`${request}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
    expect(found).toHaveLength(1);
    expect([400, 413, 431]).toContain(found[0]);
  });

  it.each([
    ['a header of 20 kB', `GET /users/me HTTP/1.1\r\n${HOST}X-Big: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['3,000 headers', `GET /users/me HTTP/1.1\r\n${HOST}${'X-A: bcd\r\n'.repeat(3000)}\r\n`],
    ['a URL of 20 kB', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`],
    [
      'a token of a megabyte',
      `GET /users/me HTTP/1.1\r\n${HOST}Authorization: Bearer ${'a'.repeat(2 ** 20)}\r\n\r\n`,
    ],
  ])('%s is 431', async (_, request) => {
    expect(await statuses(request)).toEqual([431]);
  });
});

describe('A request in an unusual form', () => {
  const body = () => login().toString();

  it('gets its own answer on a connection that had an error before', async () => {
    const missing = `GET /nothing HTTP/1.1\r\n${HOST}\r\n`;
    const guarded = `GET /secure-data HTTP/1.1\r\n${HOST}\r\n`;
    const known = guarded.replace(HOST, `${HOST}Authorization: Bearer ${user.token}\r\n`);
    const found = await statuses(missing + known + guarded + known + missing);
    expect(found).toEqual([404, 200, 401, 200, 404]);
  });

  it('may wait for leave to send its body', async () => {
    const head = `POST /token HTTP/1.1\r\n${HOST}${FORM}Expect: 100-continue\r\n`;
    const found = await statuses(`${head}Content-Length: ${body().length}\r\n\r\n${body()}`);
    expect(found).toEqual([200]);
  });

  it('may expect what nobody knows, and does not get it', async () => {
    const head = `POST /token HTTP/1.1\r\n${HOST}${FORM}Expect: the-unexpected\r\n`;
    const found = await statuses(`${head}Content-Length: ${body().length}\r\n\r\n${body()}`);
    expect(found).toEqual([200]);
  });

  it('of HTTP/1.0 is answered', async () => {
    const found = await statuses(`GET /health/live HTTP/1.0\r\n${HOST}\r\n`);
    expect(found).toEqual([200]);
  });

  it.each([
    ['an absolute target', 'GET http://evil.example/users/me HTTP/1.1', [401, 404]],
    ['an absolute target of another scheme', 'GET ftp://x/users/me HTTP/1.1', [400, 401, 404]],
    ['an asterisk', 'OPTIONS * HTTP/1.1', [400, 404]],
    ['no slash', 'GET users/me HTTP/1.1', [400, 401, 404]],
    ['two slashes', 'GET //evil.example/users/me HTTP/1.1', [400, 401, 404]],
    ['a fragment', 'GET /users/me#x HTTP/1.1', [400, 401, 404]],
    ['an unknown method', 'BREW /users/me HTTP/1.1', [400, 404]],
    ['a method in lower case', 'get /users/me HTTP/1.1', [400, 404]],
    ['TRACE', 'TRACE /users/me HTTP/1.1', [400, 404, 405]],
    ['PUT', 'PUT /users/me HTTP/1.1', [404, 405]],
    ['PATCH', 'PATCH /users/me HTTP/1.1', [404, 405]],
  ])('such as %s reaches nothing that is guarded', async (_, line, expected) => {
    const found = await statuses(`${line}\r\n${HOST}\r\n`);
    expect(found).toHaveLength(1);
    expect(expected).toContain(found[0]);
  });

  it('such as CONNECT opens no way through', async () => {
    const found = await statuses(`CONNECT evil.example:443 HTTP/1.1\r\n${HOST}\r\n`);
    expect(found.filter((status) => status < 400)).toEqual([]);
  });
});

it.each(['application/xml', 'text/html', '*/*;q=0', 'text/plain;q=0.1', 'x', ''])(
  'Accept: %s changes nothing: answers are JSON in UTF-8',
  async (accept) =>
    withOracle(app, async ({ call }) => {
      expect((await call('/users/me', { headers: { accept } })).status).toBe(401);
      const { status } = await call('/users/me', bearer(user.token, { headers: { accept } }));
      expect(status).toBe(200);
    }),
);

it('What is one’s own is never answered from a cache: no ETag, and If-None-Match is ignored', () =>
  withOracle(app, async ({ call }) => {
    for (const path of ['/users/me', '/secure-data']) {
      const headers = {
        'if-none-match': '*',
        'if-modified-since': new Date(2100, 0).toUTCString(),
      };
      const answer = await call(path, bearer(user.token, { headers }));
      expect(answer.status).toBe(200);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(answer.headers.get('etag')).toBeNull();
    }
  }));

it('Answers of every status there is are sound', () =>
  withOracle(app, async ({ call }) => {
    const address = newAddress();
    const guess = () => call('/token', from(address, form({ username: 'nobody', password: 'x' })));
    for (let i = 0; i < 30; i++) await guess();
    const taken = json({ username: user.username, password: user.password });
    const found = [
      await call('/health/live'),
      await call('/users', json('{')),
      await call('/users/me'),
      await call('/users/me', bearer('x')),
      await call('/nothing'),
      await call('/users', taken),
      await call('/users', json({ username: 'a'.repeat(20_000) })),
      await call('/users', form({ username: 'a' })),
      await guess(),
    ].map(({ status }) => status);
    expect(found).toEqual([200, 400, 401, 401, 404, 409, 413, 415, 429]);
  }));

it.each([
  '/.git/config',
  '/.env',
  '/metrics',
  '/debug',
  '/debug/pprof',
  '/api',
  '/openapi.json',
  '/package.json',
  '/server-status',
  '/actuator/env',
  '/docs/../package.json',
  '/docs/..%2fpackage.json',
  '/docs/%2e%2e/package.json',
  '/docs/swagger-initializer.js.map',
])('%s is nothing, with the settings that nobody changed', (path) =>
  withOracle(app, async () => {
    const [answer] = await exchange(app, `GET ${path} HTTP/1.1\r\n${HOST}\r\n`);
    expectSound({ method: 'GET', path: '/nothing' }, answer!);
    expect(answer!.status).toBe(404);
  }),
);
