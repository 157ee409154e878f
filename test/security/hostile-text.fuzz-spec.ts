import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, form, json, newLogin, newName, PASSWORD } from '../support/client.js';
import { DATABASES } from '../support/databases.js';
import { NAUGHTY } from '../support/naughty.js';
import { withOracle } from '../support/oracle.js';
import { newAdmin } from '../support/principals.js';

/** Milliseconds: what would have slept, or counted to a billion, takes longer. */
const AT_ONCE = 3000;
/** Most of the time a request waits for the disk. */
const TOGETHER = 10;

describe.each(DATABASES)('Text that attacks, on %s,', (database) => {
  let app: TestApp;
  let user: Awaited<ReturnType<typeof newLogin>>;
  let admin: Awaited<ReturnType<typeof newAdmin>>;
  beforeAll(async () => {
    app = await startApp({ database, environment: { TRUST_PROXY: '1' } });
    admin = await newAdmin(app);
  });
  // What is wrong on purpose is counted, to 100 for one name.
  beforeEach(async () => {
    user = await newLogin(app);
  });
  afterAll(() => app.close());

  const login = (fields: object) =>
    json({ username: user.username, password: PASSWORD, ...fields });
  const change = (fields: object) =>
    json({ current_password: 'wrong wrong', new_password: 'five new oaks', ...fields });
  const header = (name: string, value: string) => ({
    headers: { [name]: Buffer.from(value).toString('latin1') },
  });
  const withUserAgent = (text: string, init: RequestInit) => ({
    ...init,
    headers: { ...init.headers, ...header('user-agent', text).headers },
  });
  const inBrowser = (body: object) => {
    const init = json(body);
    return { ...init, headers: { ...init.headers, 'sec-fetch-site': 'same-origin' } };
  };
  const asUser = (init?: RequestInit) => bearer(user.token, init);
  const asAdmin = (init?: RequestInit) => bearer(admin.token, init);
  const DELETE = { method: 'DELETE' };
  const query = (name: string, text: string) =>
    `?${new URLSearchParams({ [name]: text }).toString()}`;
  const segment = (text: string) => encodeURIComponent(text.replaceAll('..', '. .'));

  type Send = (text: string) => [path: string, init?: RequestInit];
  /** So that a secret is not what somebody or something else is called. */
  const unlike = (text: string) => `${text} ~`;
  /** Where text goes in on its way to the database, and which answers there are. */
  const STORED: Record<string, [send: Send, statuses: number[]]> = {
    'a username, to log in': [(text) => ['/token', login({ username: text })], [401]],
    'a username, in a form': [
      (text) => ['/token', form({ username: text, password: PASSWORD })],
      [401],
    ],
    'a username, to log in in a browser': [
      (text) => ['/login', inBrowser({ username: text, password: PASSWORD })],
      [401],
    ],
    'a password, to log in': [(text) => ['/token', login({ password: unlike(text) })], [401]],
    'a username, to register': [
      (text) => ['/users', json({ username: text, password: PASSWORD })],
      [201, 400],
    ],
    'a password, to register': [
      (text) => ['/users', json({ username: newName(), password: unlike(text) })],
      [201, 400],
    ],
    'a current password': [
      (text) => [
        '/users/me/password',
        bearer(user.token, change({ current_password: unlike(text) })),
      ],
      [401],
    ],
    'a new password': [
      (text) => ['/users/me/password', asUser(change({ new_password: unlike(text) }))],
      [400, 401],
    ],
    'what a client calls itself, to log in': [
      (text) => ['/token', withUserAgent(text, login({}))],
      [200],
    ],
    'a refresh token': [
      (text) => ['/token', form({ grant_type: 'refresh_token', refresh_token: unlike(text) })],
      [400],
    ],
    'a refresh token beside a password': [
      (text) => ['/token', login({ grant_type: 'password', refresh_token: unlike(text) })],
      [200],
    ],
    'a resource': [(text) => ['/token', login({ resource: text })], [400]],
    'a token, to revoke it': [(text) => ['/revoke', form({ token: unlike(text) })], [200]],
    'a token, to ask about it': [
      (text) => ['/introspect', asUser(form({ token: unlike(text) }))],
      [200],
    ],
    'the name of an API token': [
      (text) => ['/api-tokens', asUser(json({ name: text }))],
      [201, 400],
    ],
    'a scope of an API token': [
      (text) => ['/api-tokens', asUser(json({ name: 'x', scopes: [text] }))],
      [400],
    ],
    'the id of an API token': [
      (text) => [`/api-tokens/${segment(text)}`, asUser(DELETE)],
      [400, 404],
    ],
    'the id of a session': [(text) => [`/sessions/${segment(text)}`, asUser(DELETE)], [400, 404]],
    'a username, to invite': [
      (text) => ['/admin/users', asAdmin(json({ username: text }))],
      [201, 400, 409],
    ],
    'a role': [
      (text) => ['/admin/users', asAdmin(json({ username: newName(), roles: [text] }))],
      [201, 400],
    ],
    'the id of a user': [
      (text) => [`/admin/users/${segment(text)}`, asAdmin(json({ disabled: true }, 'PATCH'))],
      [400, 404],
    ],
    'what names begin with': [
      (text) => [`/admin/users${query('search', text)}`, asAdmin()],
      [200, 400],
    ],
    'a place in the list of users': [
      (text) => [`/admin/users${query('cursor', text)}`, asAdmin()],
      [200, 400],
    ],
    ...Object.fromEntries(
      ['user', 'event', 'since', 'until', 'cursor'].map((name): [string, [Send, number[]]] => [
        `what is asked of the audit: ${name}`,
        [(text) => [`/admin/audit${query(name, text)}`, asAdmin()], [200, 400]],
      ]),
    ),
  };
  /** Where it goes no further than to the code that reads requests. */
  const READ: typeof STORED = {
    'a scope': [(text) => ['/token', login({ scope: text })], [400]],
    'a grant type': [(text) => ['/token', login({ grant_type: text })], [400]],
    'the name of a parameter': [(text) => ['/token', login({ [`x${text}`]: 'x' })], [200]],
    'the name of a field': [
      (text) => ['/users', json({ username: newName(), password: PASSWORD, [`x${text}`]: 1 })],
      [400],
    ],
    'a path': [(text) => [`/users/${segment(text)}`], [400, 404]],
    'a query': [(text) => [`/secure-data?q=${segment(text)}`, bearer(user.token)], [200]],
    'a token': [(text) => ['/users/me', header('authorization', `Bearer ${unlike(text)}`)], [401]],
    'a language': [
      (text) => ['/secure-data', bearer(user.token, header('accept-language', text))],
      [200],
    ],
    'what a client calls itself': [(text) => ['/users/me', header('user-agent', text)], [401]],
  };
  const fields = database === 'sqlite' ? { ...STORED, ...READ } : STORED;

  it.each(Object.entries(fields))('is only text where it is %s', (_, [send, statuses]) =>
    withOracle(app, async ({ call }) => {
      const before = await tables(app);
      const wrong: string[] = [];
      let registered = 0;
      let loggedIn = 0;
      const logged = app.log().length;
      await together(async (text) => {
        const [path, init = {}] = send(text);
        if (!sendable(init)) return;
        const startedAt = performance.now();
        const { status } = await call(path, from(newAddress(), init));
        if (performance.now() - startedAt > AT_ONCE) wrong.push(`${text} took too long`);
        if (!statuses.includes(status)) wrong.push(`${text} was answered ${status}`);
        if (status === 201 && path.endsWith('/users')) registered++;
        if (status === 200 && path === '/token') loggedIn++;
      });
      expect(wrong).toEqual([]);
      const after = await tables(app);
      expect([after.users - before.users, after.sessions - before.sessions]).toEqual([
        registered,
        loggedIn,
      ]);
      expectHonest(app.log().slice(logged));
    }),
  );

  it('is only text where it is an address that a proxy passes on', () =>
    withOracle(app, async ({ call }) => {
      const logged = app.log().length;
      await together(async (text) => {
        const { headers } = header('x-forwarded-for', text);
        if (!sendable({ headers })) return;
        const init = form({ username: user.username, password: PASSWORD });
        const { status } = await call('/token', {
          ...init,
          headers: { ...init.headers, ...headers },
        });
        expect({ text, status }).toEqual({ text, status: 200 });
      });
      expectHonest(app.log().slice(logged));
    }));
});

it('Text that attacks makes a password like any other once it is long enough, to its last character', async () => {
  const app = await startApp();
  await withOracle(app, async ({ call }) => {
    await together(async (text) => {
      const [username, password] = [newName(), `${text} and nine more`];
      const credentials = { username, password };
      expect((await call('/users', json(credentials))).status).toBe(201);
      for (const init of [json(credentials), form(credentials)]) {
        expect((await call('/token', init)).status).toBe(200);
      }
      const shorter = form({ username, password: password.slice(0, -1) });
      expect((await call('/token', shorter)).status).toBe(401);
    });
  });
  await app.close();
});

/** Does it with each text, some of them at a time. */
async function together(work: (text: string) => Promise<void>): Promise<void> {
  for (let at = 0; at < NAUGHTY.length; at += TOGETHER) {
    await Promise.all(NAUGHTY.slice(at, at + TOGETHER).map(work));
  }
}

/** Whether HTTP can carry it (RFC 9110 section 5.5): what cannot is a test of its own. */
function sendable({ headers = {} }: RequestInit): boolean {
  return Object.values(headers as Record<string, string>).every((value) =>
    /^[\t\x20-\x7e\x80-\xff]*$/.test(value),
  );
}

async function tables(app: TestApp): Promise<{ users: number; sessions: number }> {
  const count = async (table: 'users' | 'sessions') =>
    (await app.db.selectFrom(table).select('id').execute()).length;
  return { users: await count('users'), sessions: await count('sessions') };
}

/** One JSON object a line, none of them made up by a caller, and no word of a database. */
function expectHonest(log: string): void {
  const lines = log.trim().split('\n');
  const levels = lines.map((line) => (JSON.parse(line) as { level: string }).level);
  expect(new Set(levels)).toEqual(new Set(['info']));
  expect(log).not.toMatch(/syntax|SQLITE|unterminated|near "/);
}
