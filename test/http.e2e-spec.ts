import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Controller, Get, HttpException, Param } from '@nestjs/common';
import { Public } from '../src/auth/public.js';
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
  send,
} from './support/client.js';
import { rawHttp } from './support/raw-http.js';
import { until } from './support/until.js';

@Public()
@Controller('broken')
class BrokenController {
  @Get()
  read(): never {
    throw new Error('SELECT secret FROM /etc/passwd');
  }

  @Get(':status')
  refuse(@Param('status') status: string): never {
    throw new HttpException('canary', Number(status));
  }
}

let app: TestApp;
let token: string;
beforeAll(async () => {
  app = await startApp({
    module: { controllers: [BrokenController] },
    environment: { METRICS: 'open' },
  });
  ({ token } = await newLogin(app));
});
afterAll(() => app.close());

const ERROR = {
  error: expect.stringMatching(/^[a-z_]+$/),
  error_description: expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/),
  code: expect.stringMatching(/^[a-z_]+$/),
};

describe('an error', () => {
  it.each([
    ['400', () => call(app, '/users', json('{')), 400],
    ['401', () => call(app, '/secure-data'), 401],
    ['404', () => call(app, '/nope<script>?p=canary'), 404],
    ['404 of another method', () => call(app, '/users', { method: 'PUT' }), 404],
    ['413', () => call(app, '/users', json({ username: 'a'.repeat(20_000) })), 413],
    ['415', () => call(app, '/users', form({ username: 'a' })), 415],
    ['a bad URL', () => call(app, '/users/%zz'), 400],
    ['500', () => send(app, '/broken'), 500],
  ])('of status %s has the one shape and every security header', async (_, ask, status) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject(ERROR);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    );
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('x-powered-by')).toBeNull();
    expect(answer.headers.get('server')).toBeNull();
    expect(answer.text).not.toMatch(/nope|canary|zz|FST_|node_modules|passwd|SELECT/);
  });

  it('of the server’s own tells a request id, and the log tells the rest', async () => {
    const { body, headers } = await send(app, '/broken');
    expect(Object.keys(body).sort()).toEqual(['code', 'error', 'error_description', 'request_id']);
    expect(body['request_id']).toBe(headers.get('x-request-id'));
    expect(app.log()).toContain(body['request_id']);
    expect(app.log()).toContain('SELECT secret FROM');
  });

  it.each([
    [400, 400, 'request_malformed'],
    [404, 404, 'not_found'],
    [410, 410, 'request_malformed'],
    [412, 412, 'request_malformed'],
    [422, 422, 'request_malformed'],
    [429, 429, 'too_many_attempts'],
    [500, 500, 'internal'],
    [501, 501, 'internal'],
    [504, 504, 'internal'],
    // No status of an error.
    [302, 500, 'internal'],
    [600, 500, 'internal'],
  ])('of %i that a handler throws is %i, %s, and keeps none of its words', async (...row) => {
    const [thrown, status, code] = row;
    const { body, text, ...answer } = await send(app, `/broken/${thrown}`);
    expect([answer.status, body['code']]).toEqual([status, code]);
    expect(body).toMatchObject(ERROR);
    expect('request_id' in body).toBe(status >= 500);
    expect(answer.headers.has('retry-after')).toBe(status === 429);
    expect(text).not.toContain('canary');
  });
});

it('a path longer than any of ours is 400', async () => {
  const { status, body } = await call(app, `/sessions/${'x'.repeat(200)}`, { method: 'DELETE' });
  expect([status, body['code']]).toEqual([400, 'request_malformed']);
});

describe('a body', () => {
  const post = (path: string, contentType: string | undefined, body: string | Buffer, extra = {}) =>
    call(app, path, {
      method: 'POST',
      headers: { ...(contentType && { 'content-type': contentType }), ...extra },
      body: new Uint8Array(Buffer.from(body)),
    });

  it.each([
    ['text/plain', 'username=a&password=b'],
    ['text/html', 'x'],
    ['application/xml', '<x/>'],
    ['application/json; charset=utf-16', '{}'],
    ['application/x-www-form-urlencoded; charset=iso-8859-1', 'username=a'],
    [undefined, 'username=a&password=b'],
  ])('of type %s is refused with 415', async (type, body) => {
    expect((await post('/token', type, body)).status).toBe(415);
  });

  it.each([
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'Application/JSON',
  ])('of type %s is read', async (type) => {
    const body = JSON.stringify({ username: newName(), password: PASSWORD });
    expect((await post('/users', type, body)).status).toBe(201);
  });

  it.each(['gzip', 'br', 'deflate', 'zstd'])('in %s is refused unread', async (encoding) => {
    const answer = await post('/token', 'application/json', gzipSync('{}'), {
      'content-encoding': encoding,
    });
    expect(answer.status).toBe(415);
  });

  it.each([
    ['a byte order mark', Buffer.from('\ufeff{"username":"a","password":"b"}')],
    ['ill-formed UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ['a member twice', '{"username":"alice","username":"b","password":"c"}'],
    ['a member twice, once escaped', '{"username":"alice","usern\\u0061me":"b","password":"c"}'],
    ['trailing words', '{} x'],
    ['a comment', '{/* */}'],
    ['NaN', '{"username":NaN}'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a scalar', '"x"'],
    ['too many levels', `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`],
    ['ten thousand lists', '['.repeat(8000) + ']'.repeat(8000)],
  ])('of JSON with %s is refused', async (_, body) => {
    const answer = await post('/users', 'application/json', body);
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  });

  it('is never quoted in an error or the log', async () => {
    const body = '{"username":"alice","password":hunter2secret}';
    const { status, text } = await post('/users', 'application/json', body);
    expect(status).toBe(400);
    expect(text + app.log()).not.toContain('hunter2');
  });

  it.each([
    ['members', JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [i, i])))],
    ['elements', `[1${',1'.repeat(1000)}]`],
    ['objects', `{"username":[{}${',{}'.repeat(1000)}]}`],
  ])('of JSON with a thousand %s is refused for that alone', async (_, body) => {
    const { status, body: answer } = await post('/users', 'application/json', body);
    expect([status, answer['error_description']]).toEqual([400, 'There are too many values']);
  });

  it('cannot reach a prototype', async () => {
    const body = `{"username":"${newName()}","password":"${PASSWORD}","__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}`;
    expect((await post('/users', 'application/json', body)).status).toBe(400);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
    await register(app);
  });

  it.each([
    ['without an end', '--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nalice'],
    [
      'with a file',
      '--x\r\nContent-Disposition: form-data; name="password"; filename="a"\r\n\r\nb\r\n--x--\r\n',
    ],
    [
      'with a field twice',
      `${'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\na\r\n'.repeat(2)}--x--\r\n`,
    ],
    [
      'that is no UTF-8',
      Buffer.concat([
        Buffer.from('--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n'),
        Buffer.from([0xff]),
        Buffer.from('\r\n--x--\r\n'),
      ]),
    ],
    [
      'with too many fields',
      `${Array.from({ length: 40 }, (_, i) => `--x\r\nContent-Disposition: form-data; name="f${i}"\r\n\r\na\r\n`).join('')}--x--\r\n`,
    ],
    ['that is empty', ''],
  ])('of multipart %s is refused', async (_, body) => {
    const answer = await post('/token', 'multipart/form-data; boundary=x', body);
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  });

  it('of multipart without a boundary is refused', async () => {
    expect((await post('/token', 'multipart/form-data', 'x')).status).toBe(400);
  });

  it('lists what is wrong with each field, by its name', async () => {
    const { body } = await call<{ fields: object }>(app, '/users', json({ username: 1, 'x y': 2 }));
    expect(body.fields).toEqual({
      username: ['username must be a string'],
      password: ['password must be a string'],
      '(other)': ['is not a known field'],
    });
  });
});

describe('on the wire', () => {
  it.each([
    [
      'two content lengths',
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    ],
    [
      'content length and chunks',
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n',
    ],
    [
      'a bad chunk size',
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    ],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n'],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n'],
    ['NUL in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n'],
    ['what is no HTTP', 'hello\r\n\r\n'],
  ])('%s is one 400 and the end of the connection', async (_, request) => {
    const answer = await rawHttp(app, request);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject(ERROR);
  });

  it('a request refused by its headers gets no second answer for its broken body', async () => {
    const answer = await rawHttp(
      app,
      'POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 415']);
  });

  it('headers beyond 16 KiB are 431', async () => {
    const answer = await rawHttp(
      app,
      `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('no header is lost behind thousands of others', async () => {
    const many = 'A: \r\n'.repeat(2500);
    const answer = await rawHttp(
      app,
      `GET /secure-data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${many}Authorization: Bearer x\r\n\r\n`,
    );
    expect(answer).toContain('"code":"token_invalid"');
  });

  it.each(['TRACE', 'PROPFIND', 'PATCH', 'PUT', 'OPTIONS'])(
    '%s reaches nothing',
    async (method) => {
      const answer = await rawHttp(
        app,
        `${method} /users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 (400|404) /);
    },
  );

  it.each(['*token', '*', '?a=b', 'x:y', 'ftp://x/secure-data'])(
    'the target %s is answered as any other that is unknown',
    async (target) => {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const answer = await rawHttp(
          app,
          `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
        );
        expect(answer).toMatch(/^HTTP\/1\.1 (400|404) /);
        expect(answer).toContain('\r\ncontent-security-policy: ');
      }
    },
  );

  it('a whole URL is a target like its path', async () => {
    const answer = await rawHttp(
      app,
      'GET http://x/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('each of two pipelined requests gets its own answer', async () => {
    const answer = await rawHttp(
      app,
      `GET /secure-data HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n` +
        'GET /secure-data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 401']);
  });

  it('method override and rewrite headers are ignored', async () => {
    const { status, body } = await call(app, '/health/live', {
      headers: {
        'x-http-method-override': 'DELETE',
        'x-original-url': '/users/me',
        'x-rewrite-url': '/x',
      },
    });
    expect([status, body]).toEqual([200, { status: 'ok' }]);
  });
});

describe('a client that goes away within the body', () => {
  it.each([
    ['by closing', (socket: Socket) => socket.destroy()],
    ['by a reset', (socket: Socket) => socket.resetAndDestroy()],
  ])('%s, is not told to the operator as a fault of the server', async (_, goAway) => {
    const counted = errorsOf('internal');
    const before = errorsOf('request_malformed');
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.write(
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
        'Content-Length: 100\r\n\r\n{"username"',
    );
    await sleep(100);
    goAway(socket);
    await until(() => errorsOf('request_malformed'), (await before) + 1, 2_000);
    expect(await errorsOf('internal')).toBe(await counted);
    expect(app.log()).not.toContain('aborted');
  });
});

describe('a client that asks for much', () => {
  const REQUEST = 'GET /docs/swagger-ui.js HTTP/1.1\r\nHost: x\r\n\r\n';
  /** More than the buffers on the way hold. */
  const TIMES = 10;

  /** @param after milliseconds that it reads nothing @returns how many answers came whole, at most */
  async function read(after: number): Promise<number> {
    const { length } = (await send(app, '/docs/swagger-ui.js')).text;
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    let bytes = 0;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes >= TIMES * length) socket.destroy();
    });
    socket.pause();
    socket.write(REQUEST.repeat(TIMES));
    await sleep(after);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    return Math.floor(bytes / length);
  }

  it('and does not read it, is closed after a minute or two', async () => {
    const server = app.nest.getHttpServer();
    expect(server.timeout).toBe(60_000);
    server.timeout = 1000;
    try {
      expect(await read(0)).toBe(TIMES);
      expect(await read(4000)).toBeLessThan(TIMES);
    } finally {
      server.timeout = 60_000;
    }
  });
});

describe('across origins', () => {
  const preflight = (origin: string) =>
    call(app, '/token', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });

  it('nothing is allowed by default', async () => {
    for (const origin of ['https://evil.example', 'null', 'http://localhost:3000']) {
      const { headers } = await preflight(origin);
      expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it('exactly the configured origins are allowed, with credentials', async () => {
    await app.close();
    app = await startApp({
      environment: { CORS_ORIGINS: 'https://app.example.com, https://two.example.com' },
      module: { controllers: [BrokenController] },
    });
    const allowed = async (origin: string) =>
      (await preflight(origin)).headers.get('access-control-allow-origin');
    expect(await allowed('https://app.example.com')).toBe('https://app.example.com');
    expect(await allowed('https://two.example.com')).toBe('https://two.example.com');
    for (const origin of ['https://evil.example', 'null', 'https://app.example.com.evil.example']) {
      expect(await allowed(origin)).toBeNull();
    }
    const { headers } = await preflight('https://app.example.com');
    expect(headers.get('access-control-allow-credentials')).toBe('true');
    expect(headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each(['', 'https://app.example.com'])(
    'OPTIONS that is no preflight is unknown, with CORS_ORIGINS=%s',
    async (CORS_ORIGINS) => {
      await app.close();
      app = await startApp({ environment: { CORS_ORIGINS } });
      const origin = 'https://app.example.com';
      const method = { 'access-control-request-method': 'POST' };
      for (const headers of [{}, { origin }, method] as Record<string, string>[]) {
        const answer = await call(app, '/token', { method: 'OPTIONS', headers });
        expect([answer.status, answer.body['code']]).toEqual([404, 'not_found']);
      }
    },
  );
});

it('sends Strict-Transport-Security when the issuer is https', async () => {
  await app.close();
  app = await startApp({ environment: { ISSUER: 'https://auth.example.com' } });
  const { headers } = await call(app, '/health/live');
  expect(headers.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains');
});

it('sends a page of the docs once, also to whom a proxy gave it compressed', async () => {
  const etag = (await send(app, '/docs')).headers.get('etag')!;
  for (const known of [etag, `W/${etag}`, `"x", W/${etag}`]) {
    const again = await send(app, '/docs', { headers: { 'if-none-match': known } });
    expect([known, again.status, again.text]).toEqual([known, 304, '']);
  }
  const changed = await send(app, '/docs', { headers: { 'if-none-match': 'W/"x"' } });
  expect(changed.status).toBe(200);
});

it('shows neither docs nor the document while DOCS is off', async () => {
  await app.close();
  app = await startApp({ environment: { DOCS: 'off' } });
  for (const path of ['/docs', '/docs-json', '/', '/metrics', '/.env', '/.git/config']) {
    expect((await call(app, path)).status).toBe(404);
  }
});

it('answers the example in the language that was asked for', async () => {
  const { username, token: own } = await newLogin(app);
  const ask = async (language: string) => {
    const { body } = await call(app, '/secure-data', {
      headers: { authorization: `Bearer ${own}`, 'accept-language': language },
    });
    return body['message'];
  };
  const english = `Only ${username} can see this data`;
  const korean = `${username}님만 볼 수 있는 데이터입니다!`;
  expect(await ask('ko')).toBe(korean);
  expect(await ask('ko-KR,ko;q=0.9,en;q=0.8')).toBe(korean);
  expect(await ask('en-US,en;q=0.9,ko;q=0.5')).toBe(english);
  expect((await call(app, '/secure-data', bearer(own))).body['message']).toBe(english);
});

/** How often an error of this code was counted. */
async function errorsOf(code: string): Promise<number> {
  const { text } = await call(app, '/metrics');
  return Number(
    new RegExp(`^latchkey_errors_total{code="${code}"} (\\d+)$`, 'm').exec(text)?.[1] ?? 0,
  );
}
