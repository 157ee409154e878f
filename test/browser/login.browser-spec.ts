import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { startApp, type TestApp } from '../support/app.js';
import { json, register } from '../support/client.js';
import { launchBrowser } from './swagger-ui.js';

interface Told {
  status: number;
  text: string;
}

let app: TestApp;
let browser: Browser;
let page: Page;
/** Two origins that are not ours: a front end in CORS_ORIGINS, and anybody's. */
let frontEnd: Server;
let elsewhere: Server;

beforeAll(async () => {
  browser = await launchBrowser();
  [frontEnd, elsewhere] = [await servePage(), await servePage()];
  app = await startApp({ environment: { CORS_ORIGINS: originOf(frontEnd) } });
});

afterAll(async () => {
  await browser.close();
  await app.close();
  for (const server of [frontEnd, elsewhere]) {
    server.close();
    server.closeAllConnections();
  }
});

beforeEach(async () => {
  const context = await browser.newContext();
  context.setDefaultTimeout(10_000);
  page = await context.newPage();
});

afterEach(() => page.context().close());

async function servePage(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Page');
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
}

const originOf = (server: Server, host = '127.0.0.1') =>
  `http://${host}:${(server.address() as AddressInfo).port}`;

/** What a script of the page is answered. */
function ask(path: string, init: RequestInit = {}, { url } = app): Promise<Told> {
  const options = JSON.stringify({ credentials: 'include', ...init });
  return page.evaluate(
    `fetch('${url}${path}', ${options}).then(async (answer) => ({
      status: answer.status,
      text: await answer.text(),
    }))`,
  );
}

async function logIn(user: { username: string; password: string }, at = app): Promise<Told> {
  const { username, password } = user;
  return ask('/login', json({ username, password }), at);
}

const post = (path: string) => ask(path, { method: 'POST' });
const cookies = async () =>
  Object.fromEntries((await page.context().cookies()).map((cookie) => [cookie.name, cookie]));

it('A page of this origin logs in, reads what is guarded, refreshes and logs out, and sees no token', async () => {
  const user = await register(app);
  await page.goto(`${app.url}/docs`);
  expect((await ask('/secure-data')).status).toBe(401);
  const { status, text } = await logIn(user);
  expect(status).toBe(200);
  const { latchkey, latchkey_refresh: refresh, ...others } = await cookies();
  expect(others).toEqual({});
  for (const cookie of [latchkey, refresh]) {
    expect(cookie).toMatchObject({
      httpOnly: true,
      sameSite: 'Lax',
      path: '/',
      domain: '127.0.0.1',
    });
    expect(text).not.toContain(cookie!.value);
  }
  expect(await page.evaluate('document.cookie')).toBe('');
  expect((await ask('/secure-data')).text).toContain(user.username);

  await app.advance(1806);
  expect((await ask('/secure-data')).text).toContain('token_expired');
  expect((await post('/login/refresh')).status).toBe(200);
  expect((await cookies())['latchkey']?.value).not.toBe(latchkey!.value);
  expect((await ask('/secure-data')).status).toBe(200);

  await page.evaluate(`localStorage.setItem('draft', 'of somebody who is logged in')`);
  expect((await post('/logout')).status).toBe(204);
  expect(await cookies()).toEqual({});
  expect(await page.evaluate('localStorage.length')).toBe(0);
  expect((await ask('/secure-data')).status).toBe(401);
});

it('The cookies are gone after a refresh that finds the session ended', async () => {
  await page.goto(`${app.url}/docs`);
  await logIn(await register(app));
  await app.advance(15 * 86_400);
  expect((await post('/login/refresh')).text).toContain('session_ended');
  expect(await cookies()).toEqual({});
});

it('A front end of CORS_ORIGINS does the same from its own origin', async () => {
  const user = await register(app);
  await page.goto(originOf(frontEnd));
  expect((await logIn(user)).status).toBe(200);
  expect((await ask('/secure-data')).text).toContain(user.username);
  expect((await post('/login/refresh')).status).toBe(200);
  expect((await ask('/sessions/others', { method: 'DELETE' })).status).toBe(204);
  expect((await post('/logout')).status).toBe(204);
  expect(await cookies()).toEqual({});
});

describe('A page of another origin', () => {
  let victim: { username: string; password: string };
  let attacker: { username: string; password: string };
  beforeEach(async () => {
    [victim, attacker] = [await register(app), await register(app)];
    await page.goto(`${app.url}/docs`);
    await logIn(victim);
  });

  /** Sends a form of the page, as it needs no permission to. @returns the answer, and what went */
  async function submit(path: string, fields: Record<string, string>) {
    const answered = page.waitForResponse(app.url + path);
    await page.evaluate(`{
      const form = document.createElement('form');
      form.method = 'post';
      form.action = '${app.url}${path}';
      for (const [name, value] of Object.entries(${JSON.stringify(fields)})) {
        const input = document.createElement('input');
        [input.name, input.value] = [name, value];
        form.append(input);
      }
      document.body.append(form);
      form.submit();
    }`);
    const answer = await answered;
    const { cookie = '' } = await answer.request().allHeaders();
    return { status: answer.status(), cookie };
  }

  const expectUnharmed = async () => {
    page = await page.context().newPage(); // the form may still be on its way
    await page.goto(`${app.url}/docs`);
    expect((await ask('/secure-data')).text).toContain(victim.username);
  };

  it.each([
    // SameSite does not tell ports apart: the cookies are sent.
    ['on the same host', '127.0.0.1', /^latchkey=.+; latchkey_refresh=.+$/, 403],
    // Without cookies there is nobody to log out.
    ['on another site', 'localhost', /^$/, 204],
  ])('%s logs nobody out with a form', async (_, host, cookie, status) => {
    await page.goto(originOf(elsewhere, host));
    expect(await submit('/logout', {})).toEqual({
      status,
      cookie: expect.stringMatching(cookie) as string,
    });
    await expectUnharmed();
  });

  it.each(['127.0.0.1', 'localhost'])('at %s logs nobody in with a form', async (host) => {
    await page.goto(originOf(elsewhere, host));
    const { username, password } = attacker;
    expect(await submit('/login', { username, password })).toMatchObject({ status: 403 });
    await expectUnharmed();
  });

  it.each(['127.0.0.1', 'localhost'])('at %s has nothing done by a script', async (host) => {
    await page.goto(originOf(elsewhere, host));
    for (const [path, method] of [
      ['/logout', 'POST'],
      ['/login/refresh', 'POST'],
      ['/users/me', 'DELETE'],
    ] as const) {
      // What needs no preflight is sent; all else is not even asked for.
      await ask(path, { method, mode: 'no-cors' }).catch(() => undefined);
      await expect(ask(path, { method })).rejects.toThrow('Failed to fetch');
    }
    await expectUnharmed();
  });

  it('reads nothing', async () => {
    await page.goto(originOf(elsewhere));
    await expect(ask('/secure-data')).rejects.toThrow('Failed to fetch');
    const { text } = await ask('/secure-data', { mode: 'no-cors' }).catch(() => ({ text: '' }));
    expect(text).toBe('');
  });
});

it('A browser takes the cookies of an https issuer as they are prefixed', async () => {
  await app.close();
  app = await startApp({ environment: { ISSUER: 'https://auth.example.com' } });
  const user = await register(app);
  // It trusts this name as it trusts https.
  const url = app.url.replace('127.0.0.1', 'localhost');
  await page.goto(`${url}/docs`);
  expect((await logIn(user, { ...app, url })).status).toBe(200);
  expect(Object.keys(await cookies()).sort()).toEqual([
    '__Host-latchkey',
    '__Secure-latchkey_refresh',
  ]);
  expect((await ask('/secure-data', {}, { ...app, url })).text).toContain(user.username);
});
