import { setTimeout as sleep } from 'node:timers/promises';
import { KeyRotation } from '../../src/keys/key-rotation.js';
import { startApp, type TestApp } from '../support/app.js';
import { FrozenClock } from '../support/clock.js';
import { call, form, register, type TokenBody } from '../support/client.js';
import { forgeries } from '../support/forgeries.js';
import { encode, parts, resign } from '../support/tokens.js';
import { until } from '../support/until.js';
import { type Front, startFront } from './front.js';
import { AUDIENCE, type KitService, LANGUAGES, type Language, startKit } from './kit-service.js';

/** Milliseconds until a service knows what Latchkey was told, at the latest. */
const SOON = 3_000;

/**
 * What Latchkey itself is stricter about than the libraries of the kits are. Each takes its private
 * key, except for the spellings of one signature, which are one token: it is revoked by its `jti`.
 */
const TOLERATED = [
  'a duplicate alg',
  'a duplicate kid, escaped',
  'a byte order mark before the header',
  'padding after the signature',
  'unused bits set in the signature',
  'no client_id',
  'another client',
  'no auth_time',
  'auth_time in the future',
  'nbf as text',
  'a sub of 1 kB',
  'a fraction in exp',
  'iat after exp',
  'a duplicate sub',
  'a duplicate scope, nested in nothing',
  'a byte order mark before the claims',
  '__proto__ in the claims',
  'deep claims',
  'a token of more than 4 kB',
];

/**
 * The real application at an address where its answers can be replaced, with a clock that is
 * behind: the services go by the real time, and take nothing from the future.
 */
async function startBehindFront(secondsBehind = 0, environment: Record<string, string> = {}) {
  const front = await startFront();
  const app = await startApp({
    environment: { ISSUER: front.url, AUDIENCES: AUDIENCE, ...environment },
    clock: new FrozenClock(Date.now() - secondsBehind * 1_000),
  });
  front.serve(app.url);
  return { front, app };
}

/** A new user's session, for the service. */
async function newSession(app: TestApp): Promise<TokenBody> {
  const { username, password } = await register(app);
  const request = form({ username, password, resource: AUDIENCE });
  return (await call<TokenBody>(app, '/token', request)).body;
}

const statement = async (app: TestApp): Promise<string> => (await call(app, '/revocations')).text;

const CASES = LANGUAGES.flatMap((language) =>
  ['ES256', 'RS256'].map((algorithm): [Language, string] => [language, algorithm]),
);

describe.each(CASES)('A %s service with %s', (language, algorithm) => {
  let app: TestApp;
  let service: KitService;
  beforeAll(async () => {
    const started = await startBehindFront(0, { SIGNING_ALGORITHM: algorithm });
    app = started.app;
    service = await startKit(language, started.front.url);
  });
  afterAll(async () => {
    await service.kill();
    await app.close(); // one at a time
  });

  it('refuses every token that is not as Latchkey makes them', async () => {
    const { access_token } = await newSession(app);
    expect(await service.status(access_token)).toBe(200);
    const taken: string[] = [];
    for (const [name, token] of forgeries(app, access_token)) {
      const status = await service.status(token);
      if (status === 401 || (status === 200 && TOLERATED.includes(name))) continue;
      taken.push(`${name}: ${status}`);
    }
    expect(taken).toEqual([]);
    expect(await service.status(access_token)).toBe(200);
  });

  it('refuses the feed as an access token', async () => {
    expect(await service.status(await statement(app))).toBe(401);
  });
});

describe.each(LANGUAGES)('A %s service and its feed', (language) => {
  let app: TestApp;
  let front: Front;
  let service: KitService;
  beforeAll(async () => {
    ({ app, front } = await startBehindFront(60));
    service = await startKit(language, front.url);
  });
  afterAll(async () => {
    await service.kill();
    await app.close(); // one at a time
  });
  afterEach(() => {
    front.feed = undefined;
  });

  /** Waits until the service has read what the feed is now. */
  const read = async (): Promise<void> => {
    const from = front.seen.length;
    const polled = () => front.seen.slice(from).some((line) => line.startsWith('/revocations'));
    await until(() => Promise.resolve(polled()), true, SOON);
    await sleep(100);
  };

  it('reads a feed that has not changed as 304, and its renewal after 30 s as 200', async () => {
    const from = front.seen.length;
    await read();
    await read();
    expect(front.seen.slice(from)).toEqual(['/revocations 304', '/revocations 304']);
    await app.advance(30);
    await read();
    await read();
    expect(front.seen.slice(from + 2)).toEqual(['/revocations 200', '/revocations 304']);
  });

  it('fetches the keys once a second at most, however many kids are invented', async () => {
    const { access_token } = await newSession(app);
    const { header, claims } = parts(access_token);
    await sleep(1_100);
    const from = front.seen.length;
    const startedAt = performance.now();
    // One after the other: those of one moment share a request anyway.
    for (let n = 0; n < 100; n++) {
      const invented = resign(app, { ...header, kid: `invented-${n}` }, claims);
      expect(await service.status(invented)).toBe(401);
    }
    const fetched = front.seen.slice(from).filter((line) => line.startsWith('/.well-known/jwks'));
    const most = Math.ceil((performance.now() - startedAt) / 1_000);
    expect(fetched.length).toBeGreaterThanOrEqual(1);
    expect(fetched.length).toBeLessThanOrEqual(most + 1);
    expect(await service.status(access_token)).toBe(200);
  });

  it('does not believe a statement that is forged, of another kind, or older than the last', async () => {
    const { access_token, refresh_token } = await newSession(app);
    const old = await statement(app);
    await app.advance(2);
    await call(app, '/logout', form({ refresh_token }));
    await until(() => service.status(access_token), 401, SOON);

    const { header, claims } = parts(await statement(app));
    const nothing = { ...claims, sessions: [], tokens: [], users: {}, keys: [] };
    const [h = '', , s = ''] = (await statement(app)).split('.');
    for (const forged of [
      old,
      `${h}.${encode(nothing)}.${s}`,
      resign(app, { ...header, typ: 'at+jwt' }, nothing),
      resign(app, { ...header, typ: 'JWT' }, nothing),
      resign(app, { ...header, kid: 'invented' }, nothing),
      resign(app, { ...header, alg: 'none' }, nothing),
      resign(app, header, { ...nothing, iss: 'https://evil.example' }),
      resign(app, header, { ...nothing, exp: Math.floor(Date.now() / 1000) - 60 }),
      resign(app, header, { ...nothing, exp: undefined }),
      resign(app, header, { ...nothing, keys: [header['kid']] }),
      resign(app, header, { iss: claims['iss'], iat: claims['iat'], exp: claims['exp'] }),
      'x',
      '',
    ]) {
      front.feed = forged;
      await read();
      expect([forged, await service.status(access_token)]).toEqual([forged, 401]);
    }
    // What nobody else can make is believed: the forgeries failed by what is wrong with them.
    front.feed = resign(app, header, nothing);
    await read();
    expect(await service.status(access_token)).toBe(200);
  }, 60_000);

  it('does not believe who has a withdrawn key', async () => {
    const { access_token } = await newSession(app);
    const { header, claims } = parts(await statement(app));
    const later = { ...claims, iat: app.clock.seconds() + 3, keys: [] };
    const forged = resign(app, header, later);
    await app.nest.get(KeyRotation, { strict: false }).replaceCompromised('test', false);
    await app.advance(1);
    await until(() => service.status(access_token), 401, SOON);
    front.feed = forged;
    await read();
    expect(await service.status(access_token)).toBe(401);
    expect(service.stderr()).toContain('Signed by a withdrawn key');
  });
});

it.each(LANGUAGES)(
  'A %s service trusts nobody past the end of its last statement, until there is another',
  async (language) => {
    // 112 s ago: a statement of two minutes is good for 8 s more.
    const { front, app } = await startBehindFront(112);
    const { access_token } = await newSession(app);
    const { exp } = parts(await statement(app)).claims as { exp: number };
    const service = await startKit(language, front.url);
    expect(await service.status(access_token)).toBe(200);
    front.silent = true;
    await until(() => service.status(access_token), 503, 10_000);
    expect(Date.now() / 1000).toBeGreaterThanOrEqual(exp);
    front.silent = false;
    await app.advance(60);
    await until(() => service.status(access_token), 200, 8_000);
    await service.kill();
    await app.close();
  },
);
