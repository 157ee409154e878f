import { startApp, type TestApp } from './support/app.js';
import { bearer, call, form, newLogin } from './support/client.js';

let app: TestApp;
const metrics = async () => (await call(app, '/metrics')).text;
/** @returns the value of one sample, 0 where there is none */
const sample = async (name: string) =>
  Number(
    (await metrics())
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  );

describe('with METRICS open', () => {
  beforeAll(async () => {
    app = await startApp({ environment: { METRICS: 'open' } });
  });
  afterAll(() => app.close());

  it('counts logins by outcome, tokens issued, and tokens refused by code', async () => {
    const names = [
      'latchkey_logins_total{outcome="success"}',
      'latchkey_logins_total{outcome="failed"}',
      'latchkey_tokens_issued_total',
      'latchkey_errors_total{code="token_invalid"}',
      'latchkey_errors_total{code="token_missing"}',
      'latchkey_errors_total{code="login_failed"}',
    ];
    const before = await Promise.all(names.map(sample));
    const { username } = await newLogin(app);
    await call(app, '/token', form({ username, password: 'wrong wrong' }));
    await call(app, '/secure-data', bearer('a.b.c'));
    await call(app, '/secure-data');
    const after = await Promise.all(names.map(sample));
    expect(after.map((value, index) => value - before[index]!)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('counts requests by the pattern of their route, never by what a caller made up', async () => {
    await call(app, '/made-up-by-a-caller');
    const text = await metrics();
    expect(text).toContain('method="GET",route="none",status="404"');
    expect(text).not.toContain('made-up');
  });

  it('shows the hash queue, the event loop and database errors', async () => {
    const text = await metrics();
    for (const name of [
      'latchkey_hash_queue_length 0',
      'nodejs_eventloop_lag_p99_seconds',
      'latchkey_database_errors_total',
    ]) {
      expect(text).toContain(name);
    }
  });

  it('is Prometheus text, and names no user', async () => {
    const { username } = await newLogin(app);
    const { headers, text } = await call(app, '/metrics');
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(text).not.toContain(username);
  });
});

it('is not there while METRICS is off', async () => {
  app = await startApp();
  expect((await call(app, '/metrics')).status).toBe(404);
  await app.close();
});
