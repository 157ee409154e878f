import { startApp, type TestApp } from '../support/app.js';
import { bearer, call, form, json, logIn, newLogin, register } from '../support/client.js';
import { DATABASES } from '../support/databases.js';
import { withOracle } from '../support/oracle.js';
import { newAdmin, newInvited } from '../support/principals.js';

const NEXT = 'five new oaks by the lake';

describe.each(DATABASES)('Changing a password, on %s,', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database });
  });
  afterAll(() => app.close());

  const change = (token: string, body: object) =>
    call(app, '/users/me/password', bearer(token, json(body)));

  it('makes the new one the only one, ends the other sessions, and keeps this one', () =>
    withOracle(app, async ({ call: ask, secret }) => {
      const user = await register(app);
      const [here, there] = [await logIn(app, user), await logIn(app, user)];
      for (const token of [here, there]) await ask('/users/me', bearer(token)); // remembered
      const body = { current_password: user.password, new_password: secret(NEXT) };
      const { status } = await ask('/users/me/password', bearer(here, json(body)));
      expect(status).toBe(204);
      expect((await ask('/users/me', bearer(here))).status).toBe(200);
      expect((await ask('/users/me', bearer(there))).body['code']).toBe('token_revoked');
      expect((await ask('/token', form({ ...user }))).status).toBe(401);
      await logIn(app, { ...user, password: NEXT });
    }));

  it.each([
    ['no current one', { new_password: NEXT }, 'current_password'],
    ['no new one', { current_password: 'x' }, 'new_password'],
    ['nothing', {}, 'new_password'],
    ['a number', { current_password: 1, new_password: NEXT }, 'current_password'],
    ['a short one', { current_password: 'x', new_password: '7 chars' }, 'new_password'],
    ['a common one', { current_password: 'x', new_password: 'password1' }, 'new_password'],
    ['the current one', { current_password: NEXT, new_password: NEXT }, 'new_password'],
    [
      'the current one, typed on another keyboard',
      { current_password: `${NEXT} \u00e9`, new_password: `${NEXT} e\u0301` },
      'new_password',
    ],
    [
      'one that is ill-formed',
      { current_password: 'x', new_password: 'quiet \ud800 river' },
      'new_password',
    ],
  ])('needs the current one and an acceptable new one: %s is refused', (_, body, field) =>
    withOracle(app, async ({ call: ask }) => {
      const user = await newLogin(app);
      const answer = await ask<{ fields: object }>(
        '/users/me/password',
        bearer(user.token, json(body)),
      );
      expect(answer.status).toBe(400);
      expect(answer.body.fields).toHaveProperty(field);
      await logIn(app, user);
    }),
  );

  it('is refused with a wrong current one, and nothing changes', () =>
    withOracle(app, async ({ call: ask }) => {
      const user = await newLogin(app);
      const body = { current_password: 'wrong wrong wrong', new_password: NEXT };
      const answer = await ask('/users/me/password', bearer(user.token, json(body)));
      expect([answer.status, answer.body['code']]).toEqual([401, 'login_failed']);
      expect((await call(app, '/users/me', bearer(user.token))).status).toBe(200);
      await logIn(app, user);
    }));

  it('is won by one of two who change it at once', async () => {
    const user = await register(app);
    const tokens = [await logIn(app, user), await logIn(app, user)];
    const passwords = [`${NEXT} 0`, `${NEXT} 1`];
    const answers = await Promise.all(
      tokens.map((token, index) =>
        change(token, { current_password: user.password, new_password: passwords[index] }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 401]);
    const won = answers.findIndex(({ status }) => status === 204);
    await logIn(app, { ...user, password: passwords[won]! });
    const lost = await call(app, '/token', form({ ...user, password: passwords[1 - won]! }));
    expect(lost.status).toBe(401);
  });

  describe('for who was invited,', () => {
    it('is the one thing to do, and then all is open to the next login', async () => {
      const { token, username, password } = await newInvited(app);
      expect((await call(app, '/users/me', bearer(token))).status).toBe(403);
      const { status } = await change(token, { current_password: password, new_password: NEXT });
      expect(status).toBe(204);
      expect((await call(app, '/users/me', bearer(token))).status).toBe(403);
      const next = await logIn(app, { username, password: NEXT });
      expect((await call(app, '/users/me', bearer(next))).status).toBe(200);
    });

    it('is possible for three days, and no login is after that', async () => {
      const { username, password } = await newInvited(app);
      const login = async () => (await call(app, '/token', form({ username, password }))).status;
      await app.advance(3 * 86_400 - 1);
      expect(await login()).toBe(200);
      await app.advance(1);
      expect(await login()).toBe(401);
    });
  });

  it('No route shows a hash to anybody, not to an administrator either', async () => {
    const { token } = await newAdmin(app);
    const paths = app
      .routes()
      .filter((route) => route.startsWith('GET '))
      .map((route) => route.slice(4).replace(/:\w+/g, 'x'));
    expect(paths).toContain('/users/me');
    for (const path of paths) {
      expect((await call(app, path, bearer(token))).text).not.toMatch(/\$argon2|\$2[aby]\$/);
    }
  });
});

it('A password of a megabyte is refused before anything is hashed', async () => {
  const app = await startApp();
  const startedAt = performance.now();
  const { status } = await call(
    app,
    '/token',
    form({ username: 'a', password: 'a'.repeat(2 ** 20) }),
  );
  expect(status).toBe(413);
  expect(performance.now() - startedAt).toBeLessThan(500);
  // Nothing was counted, so nothing was compared.
  expect(await app.db.selectFrom('attempts').selectAll().execute()).toEqual([]);
  await app.close();
});
