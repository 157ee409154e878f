import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Locator } from 'playwright-core';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, call, form, logIn, newLogin, refresh, register } from '../support/client.js';
import { newDatabase } from '../support/databases.js';
import { serverEnvironment, startServer } from '../support/process.js';
import { launchBrowser, SwaggerUi } from './swagger-ui.js';

let app: TestApp;
let browser: Browser;
let user: { username: string; password: string };
let docs: SwaggerUi;

beforeAll(async () => {
  browser = await launchBrowser();
  app = await startApp();
});

afterAll(async () => {
  await browser.close();
  await app.close();
});

beforeEach(async () => {
  user = await register(app);
  docs = await SwaggerUi.open(browser, `${app.url}/docs`);
  await docs.logIn(user);
  docs.requested.length = 0;
});

afterEach(() => docs.close());

/** How often the page asked for tokens since the login. */
const refreshes = () => docs.requested.filter((url) => url === `${app.url}/token`).length;

interface Kept {
  access_token: string;
  refresh_token: string;
  expires_at: number;
}

/** The tokens of the login that the tab keeps. */
async function kept(): Promise<Kept> {
  const text: string = await docs.page.evaluate(`sessionStorage.getItem('latchkey.tokens')`);
  return (JSON.parse(text) as { password: { token: Kept } }).password.token;
}

/** Has every token expire on the server; the page does not know. */
const expire = () => app.advance(1806);

const read = () => docs.tryOut('GET', '/secure-data');

/** Executes two operations before either is answered. */
async function readTwoAtOnce(): Promise<string[]> {
  await docs.page.route('**/token', async (route) => {
    await sleep(500);
    await route.continue();
  });
  const operations = [
    await docs.operation('GET', '/secure-data'),
    await docs.operation('GET', '/users/me'),
  ];
  await Promise.all(
    operations.map((each) => each.getByRole('button', { name: 'Execute' }).click()),
  );
  const status = (operation: Locator) =>
    operation.locator('.live-responses-table .response .response-col_status').innerText();
  return (await Promise.all(operations.map(status))).map((text) => text.trim());
}

it('refreshes when a call is answered that the token expired, and sends it again', async () => {
  const before = await kept();
  await expire();
  expect(await read()).toMatchObject({ status: '200' });
  const after = await kept();
  expect(after.access_token).not.toBe(before.access_token);
  expect(after.refresh_token).not.toBe(before.refresh_token);
  expect(refreshes()).toBe(1);
  expect(await read()).toMatchObject({ status: '200' });
  expect(refreshes()).toBe(1);
});

it('refreshes when the access token was revoked, and its session lives', async () => {
  await call(app, '/revoke', form({ token: (await kept()).access_token }));
  expect(await read()).toMatchObject({ status: '200' });
  expect(refreshes()).toBe(1);
});

it('refreshes before a call whose token expired by the time that was kept', async () => {
  await docs.page.evaluate(`{
    const tokens = JSON.parse(sessionStorage.getItem('latchkey.tokens'));
    tokens.password.token.expires_at = Date.now() - 1;
    sessionStorage.setItem('latchkey.tokens', JSON.stringify(tokens));
  }`);
  await docs.reload();
  expect(await read()).toMatchObject({ status: '200' });
  expect(refreshes()).toBe(1);
  expect(docs.faults).toEqual([]);
});

it('keeps what it got over a reload', async () => {
  await expire();
  await read();
  await docs.reload();
  expect(await read()).toMatchObject({ status: '200' });
  expect(refreshes()).toBe(1);
});

it('refreshes once for two calls at once that are answered so', async () => {
  await expire();
  expect(await readTwoAtOnce()).toEqual(['200', '200']);
  expect(refreshes()).toBe(1);
});

it('does not refresh again for a call whose 401 comes when another one has done it', async () => {
  await docs.page.route('**/users/me', async (route) => {
    const response = await route.fetch();
    if (response.status() === 401) await sleep(1500);
    await route.fulfill({ response });
  });
  await expire();
  expect(await readTwoAtOnce()).toEqual(['200', '200']);
  expect(refreshes()).toBe(1);
});

it('refreshes once for two calls at once, by the time that was kept', async () => {
  const server = await startServer({
    ...serverEnvironment(await newDatabase('sqlite')),
    ACCESS_TOKEN_TTL: '5s',
  });
  const other = await register(server);
  await docs.close();
  docs = await SwaggerUi.open(browser, `${server.url}/docs`);
  await docs.logIn(other);
  await sleep(5_500);
  docs.requested.length = 0;
  expect(await readTwoAtOnce()).toEqual(['200', '200']);
  expect(docs.requested.filter((url) => url === `${server.url}/token`)).toHaveLength(1);
  await server.kill();
});

it('shows the 401 when the session ended, and drops the tokens', async () => {
  const { refresh_token: token } = await kept();
  await call(app, '/logout', form({ refresh_token: token }));
  expect(await read()).toEqual({ status: '401', text: expect.stringContaining('token_revoked') });
  expect(refreshes()).toBe(1);
  expect(await docs.stored()).not.toMatch(/lk_rt_|access_token/);
  expect(await docs.isAuthorized('password')).toBe(false);
  expect(await read()).toMatchObject({ status: '401' });
  expect(refreshes()).toBe(1);
});

it.each<[string, () => Promise<unknown>]>([
  ['cannot be reached', () => docs.page.route('**/token', (route) => route.abort())],
  [
    'is busy',
    () => docs.page.route('**/token', (route) => route.fulfill({ status: 503, json: {} })),
  ],
])('shows the 401 when the server %s, and keeps the tokens for later', async (_, disturb) => {
  const before = await kept();
  await disturb();
  await expire();
  expect(await read()).toEqual({ status: '401', text: expect.stringContaining('token_expired') });
  expect(await kept()).toEqual(before);
  await docs.page.unroute('**/token');
  expect(await read()).toMatchObject({ status: '200' });
});

it('does not refresh a token that was pasted', async () => {
  await docs.logOut('password');
  docs.requested.length = 0;
  await docs.pasteToken(await logIn(app, user));
  await expire();
  expect(await read()).toEqual({ status: '401', text: expect.stringContaining('token_expired') });
  expect(refreshes()).toBe(0);
});

it('ends the session on the server with the logout of the dialog', async () => {
  const { access_token: access, refresh_token: token } = await kept();
  const ended = docs.page.waitForResponse(`${app.url}/logout`);
  await docs.logOut('password');
  expect((await ended).status()).toBe(204);
  expect((await call(app, '/users/me', bearer(access))).body['code']).toBe('token_revoked');
  expect((await refresh(app, token)).body.code).toBe('session_ended');
});

it('stays logged out when a refresh was under way', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await docs.page.route('**/token', async (route) => {
    await held;
    await route.continue();
  });
  await expire();
  const operation = await docs.operation('GET', '/secure-data');
  const asked = docs.page.waitForRequest('**/token');
  await operation.getByRole('button', { name: 'Execute' }).click();
  await asked;
  await docs.logOut('password');
  release();
  await operation.locator('.live-responses-table .response').waitFor();
  expect(await docs.isAuthorized('password')).toBe(false);
  expect(await docs.stored()).not.toMatch(/lk_rt_|access_token/);
});

it('leaves the cookies alone of who is logged in to this server as well', async () => {
  const { username, password } = await newLogin(app);
  const body = JSON.stringify({ username, password });
  await docs.page.evaluate(
    `fetch('login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '${body}' })`,
  );
  await expire();
  expect(await read()).toMatchObject({ status: '200' });
  const ended = docs.page.waitForResponse(`${app.url}/logout`);
  await docs.logOut('password');
  await ended;
  const status = `fetch('login/refresh', { method: 'POST' }).then((answer) => answer.status)`;
  expect(await docs.page.evaluate(status)).toBe(200);
});
