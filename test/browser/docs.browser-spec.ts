import { randomBytes } from 'node:crypto';
import { createServer, request, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { startApp, type TestApp } from '../support/app.js';
import { call, logIn, register, newName } from '../support/client.js';
import { launchBrowser, SwaggerUi } from './swagger-ui.js';

let app: TestApp;
let browser: Browser;
let user: { username: string; password: string };
let docs: SwaggerUi;

beforeAll(async () => {
  browser = await launchBrowser();
  app = await startApp();
  // Random, so that finding it anywhere means that it was kept there.
  user = await register(app, newName(), newPassword());
});

afterAll(async () => {
  await browser.close();
  await app.close();
});

beforeEach(async () => {
  docs = await SwaggerUi.open(browser, `${app.url}/docs`);
});

afterEach(() => docs.close());

const newPassword = (): string => randomBytes(16).toString('hex');

const greeting = (): string => `Only ${user.username} can see this data`;

it('loads all from this server, within its policy, without an error', async () => {
  for (const name of Object.keys(await docs.padlocks())) {
    const [method, path] = name.split(' ') as ['GET', string];
    await docs.operation(method, path);
  }
  await docs.logIn(user);
  await docs.tryOut('GET', '/secure-data');
  await docs.page.waitForLoadState('networkidle');
  await docs.reload();
  await docs.logOut('password');
  await docs.page.waitForLoadState('networkidle');
  expect(docs.faults).toEqual([]);
  expect(docs.requested).toContain(`${app.url}/docs/swagger-ui.js`);
  expect(docs.requested.filter((url) => new URL(url).origin !== app.url)).toEqual([]);
});

it('runs no script and applies no style that is written into the page', async () => {
  await docs.page.evaluate(`{
    const script = document.createElement('script');
    script.textContent = 'document.title = "ran"';
    document.body.append(script);
    document.body.insertAdjacentHTML('beforeend', '<p id="styled" style="color: red">text</p>');
  }`);
  expect(await docs.page.title()).toBe('Latchkey API');
  expect(await docs.page.evaluate(`document.querySelector('#styled').style.color`)).toBe('');
});

it('has a padlock on exactly the operations that want an access token', async () => {
  const expected = Object.fromEntries(
    await Promise.all(
      Object.keys(await docs.padlocks()).map(async (name) => {
        const [method, path] = name.split(' ') as [string, string];
        const { body } = await call(app, path, { method });
        return [name, body['code'] === 'token_missing'] as const;
      }),
    ),
  );
  expect(Object.values(expected)).toEqual(expect.arrayContaining([true, false]));
  expect(await docs.padlocks()).toEqual(expected);
});

describe('a login with username and password', () => {
  it('asks for nothing else', async () => {
    await docs.openDialog();
    const fields = docs.dialog('password').locator('input:visible:not([type="checkbox"])');
    const ids = await Promise.all((await fields.all()).map((field) => field.getAttribute('id')));
    expect(ids).toEqual(['oauth_username', 'oauth_password']);
  });

  it('opens the operations that have a padlock', async () => {
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '401' });
    await docs.logIn(user);
    const answer = await docs.tryOut('GET', '/secure-data');
    expect(answer).toEqual({ status: '200', text: expect.stringContaining(greeting()) });
    expect(await docs.tryOut('GET', '/users/me')).toMatchObject({ status: '200' });
  });

  it('gets every scope that the user has, when none is ticked', async () => {
    await promote(user);
    await docs.logIn(user);
    expect(await scopes()).toBe('profile admin');
  });

  it('gets every scope that the user has, when all are ticked', async () => {
    await promote(user, 'admin service');
    await docs.logIn(user, 'all');
    expect(await scopes()).toBe('profile admin tokens:introspect');
  });

  it('gets no more than the scopes that are ticked', async () => {
    await promote(user);
    await docs.logIn(user, 'profile');
    expect(await scopes()).toBe('profile');
  });

  it('is told why a scope is refused that the user does not have', async () => {
    await docs.openDialog();
    await docs.typeCredentials(await register(app));
    await docs.tick('all');
    expect(await docs.refusal()).toContain('invalid_scope');
    expect(await docs.stored()).not.toContain('access_token');
  });

  it('is told why a wrong password is refused', async () => {
    await docs.openDialog();
    await docs.typeCredentials({ ...user, password: 'not the password' });
    expect(await docs.refusal()).toContain('The username or password is wrong');
    expect(await docs.stored()).not.toContain('access_token');
  });

  it('survives a reload', async () => {
    await docs.logIn(user);
    await docs.reload();
    expect(await docs.isAuthorized('password')).toBe(true);
    const answer = await docs.tryOut('GET', '/secure-data');
    expect(answer).toEqual({ status: '200', text: expect.stringContaining(greeting()) });
  });

  it('ends for this page with a logout, also after a reload', async () => {
    await docs.logIn(user);
    await docs.logOut('password');
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '401' });
    await docs.reload();
    expect(await docs.isAuthorized('password')).toBe(false);
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '401' });
    expect(await docs.stored()).not.toContain('access_token');
  });

  it('leaves the token, and neither username nor password, in the storages', async () => {
    await docs.logIn(user);
    await docs.tryOut('GET', '/secure-data');
    for (const moment of ['after the login', 'after a reload']) {
      const stored = await docs.stored();
      expect([moment, stored]).toEqual([moment, expect.not.stringContaining(user.password)]);
      expect([moment, stored]).toEqual([moment, expect.not.stringContaining(user.username)]);
      const [outside, { session }] = JSON.parse(stored) as Stored;
      expect(outside).toEqual({ cookies: [], origins: [] });
      expect(JSON.parse(session['latchkey.tokens']!)).toEqual({
        password: {
          token: {
            access_token: expect.any(String),
            token_type: 'bearer',
            refresh_token: expect.stringMatching(/^lk_rt_/),
            expires_at: expect.any(Number),
          },
        },
      });
      await docs.reload();
    }
  });

  it('leaves the password nowhere in the memory of the page', async () => {
    await docs.openDialog();
    await docs.typeCredentials(user);
    expect(await docs.memory()).toContain(user.password); // or the search finds nothing at all
    await docs.submit('password');
    expect(await docs.memory()).not.toContain(user.password);
  });
});

type Stored = [object, { session: Record<string, string> }];

/** The scopes of the token that the page keeps. */
async function scopes(): Promise<string> {
  const [, { session }] = JSON.parse(await docs.stored()) as Stored;
  const [, payload = ''] = session['latchkey.tokens']!.split('.');
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { scope: string }).scope;
}

async function promote({ username }: { username: string }, roles = 'admin'): Promise<void> {
  await app.db.updateTable('users').set({ roles }).where('username', '=', username).execute();
}

describe('an access token pasted into the dialog', () => {
  let token: string;
  beforeEach(async () => {
    token = await logIn(app, user);
    await docs.pasteToken(token);
  });

  it('opens the operations that have a padlock', async () => {
    const answer = await docs.tryOut('GET', '/secure-data');
    expect(answer).toEqual({ status: '200', text: expect.stringContaining(greeting()) });
  });

  it('survives a reload', async () => {
    await docs.reload();
    expect(await docs.isAuthorized('bearer')).toBe(true);
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '200' });
  });

  it('is forgotten with a logout, also after a reload', async () => {
    await docs.logOut('bearer');
    await docs.reload();
    expect(await docs.isAuthorized('bearer')).toBe(false);
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '401' });
    expect(await docs.stored()).not.toContain(token);
  });
});

describe('Try it out', () => {
  it.each(['application/x-www-form-urlencoded', 'multipart/form-data'])(
    'logs in at POST /token with %s',
    async (type) => {
      const answer = await docs.tryOut('POST', '/token', async (operation) => {
        await operation.getByLabel('Request content type').selectOption(type);
        for (const name of ['username', 'password'] as const) {
          await operation
            .locator(`[data-property-name="${name}"] input:not([type="checkbox"])`)
            .fill(user[name]);
        }
      });
      expect(answer).toEqual({ status: '200', text: expect.stringContaining('access_token') });
    },
  );

  it.each([
    ['/token', '200', () => user],
    ['/users', '201', () => ({ username: newName(), password: newPassword() })],
  ])('sends JSON to POST %s', async (path, status, body) => {
    const answer = await docs.tryOut('POST', path, async (operation) => {
      await operation.getByLabel('Request content type').selectOption('application/json');
      await operation.locator('textarea').fill(JSON.stringify(body()));
    });
    expect(answer).toMatchObject({ status });
  });
});

describe('with another server beside', () => {
  let other: Server;
  afterEach(() => {
    other.close();
    other.closeAllConnections();
  });

  async function serve(listener: RequestListener): Promise<string> {
    other = createServer(listener).listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    return `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  }

  it('sends neither password nor token there, whatever the document says', async () => {
    const received: string[] = [];
    const url = await serve(({ method, url }, response) => {
      received.push(`${method} ${url}`);
      response.writeHead(200, {
        'access-control-allow-origin': '*',
        'access-control-allow-headers': '*',
      });
      response.end('{}');
    });
    // The policy alone would stop it: this is about the page.
    await docs.close();
    docs = await SwaggerUi.open(browser, `${app.url}/docs`, { bypassCSP: true });
    const fetches = await docs.page.evaluate(`fetch('${url}/control').then((answer) => answer.ok)`);
    expect(fetches).toBe(true);

    await docs.page.route('**/docs-json', async (route) => {
      const response = await route.fetch();
      const document = (await response.json()) as {
        paths: Record<string, { servers?: object }>;
        components: {
          securitySchemes: { password: { flows: { password: { tokenUrl: string } } } };
        };
      };
      document.paths['/secure-data']!.servers = [{ url }];
      document.components.securitySchemes.password.flows.password.tokenUrl = `${url}/token`;
      await route.fulfill({ response, json: { ...document, servers: [{ url }] } });
    });
    await docs.reload();
    await docs.openDialog();
    await docs.typeCredentials(user);
    expect(await docs.refusal()).toContain('only talks to the server');
    await docs.closeDialog();
    await docs.pasteToken(await logIn(app, user));
    const operation = await docs.operation('GET', '/secure-data');
    await operation.getByRole('button', { name: 'Execute' }).click();
    await operation.getByText('only talks to the server').waitFor();
    expect(received).toEqual(['GET /control']);
  });

  it('works under a prefix that a proxy strips', async () => {
    const url = await serve((incoming, response) => {
      const { method, headers, url = '' } = incoming;
      const upstream = request(app.url + url.replace(/^\/auth/, ''), { method, headers });
      upstream.on('response', (answer) => {
        response.writeHead(url.startsWith('/auth/') ? answer.statusCode! : 502, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(upstream);
    });
    await docs.close();
    docs = await SwaggerUi.open(browser, `${url}/auth/docs`);
    await docs.logIn(user);
    expect(await docs.tryOut('GET', '/secure-data')).toMatchObject({ status: '200' });
    expect(docs.faults).toEqual([]);
  });
});
