import { startApp, type TestApp } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  logIn,
  newLogin,
  newName,
  PASSWORD,
  register,
} from './support/client.js';
import { DATABASES } from './support/databases.js';

describe.each(DATABASES)('on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database });
  });
  afterAll(() => app.close());

  describe('POST /users', () => {
    it('registers a user and shows the profile', async () => {
      const { status, body } = await call(
        app,
        '/users',
        json({ username: 'Bob', password: PASSWORD }),
      );
      expect(status).toBe(201);
      expect(body).toEqual({
        id: expect.stringMatching(/^[0-9a-f]{8}-/),
        username: 'Bob',
        roles: ['user'],
        created_at: new Date(app.clock.now()).toISOString(),
      });
    });

    it.each(['bob', 'BOB', 'Ｂob', 'bOb'])(
      'refuses %s, the same name in another spelling',
      async (name) => {
        const { status, body } = await call(
          app,
          '/users',
          json({ username: name, password: PASSWORD }),
        );
        expect([status, body['error'], body['code']]).toEqual([409, 'conflict', 'username_taken']);
      },
    );

    it('gives one name to one of many who ask at once', async () => {
      const username = newName();
      const answers = await Promise.all(
        Array.from({ length: 10 }, () =>
          call(app, '/users', json({ username, password: PASSWORD })),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(9).fill(409)]);
    });

    it.each([
      ['an empty one', ''],
      ['one of 65 characters', 'a'.repeat(65)],
      ['a space at the end', 'alice '],
      ['a line break', 'alice\r\n'],
      ['NUL', 'alice\u0000x'],
      ['a direction override', 'alice\u202e'],
      ['a zero-width character', 'ali\u200bce'],
      ['Cyrillic among Latin', '\u0430lice'],
      ['Greek among Latin', 'alic\u03b5'],
      ['a lone surrogate', 'alice\ud800'],
      ['a quote', "alice'--"],
      ['a mark without a letter', '\u0301alice'],
    ])('refuses as a username %s', async (_, username) => {
      const { status, body } = await call<{ fields: object }>(
        app,
        '/users',
        json({ username, password: PASSWORD }),
      );
      expect(status).toBe(400);
      expect(body.fields).toHaveProperty('username');
    });

    it.each([
      'a'.repeat(64),
      '김철수',
      'алиса',
      'Ünal',
      'o.k_@+-9',
      '__proto__',
      'constructor',
      'me',
    ])('takes %s as a username, and its owner logs in', async (username) => {
      const user = await register(app, username);
      const token = await logIn(app, user);
      const { body } = await call(app, '/users/me', bearer(token));
      expect(body['username']).toBe(username);
    });

    it.each([
      ['a short one', '7 chars'],
      ['eight UTF-16 units that are four characters', '😀😀😀😀'],
      ['seven emoji', '😀🦉🌙🌊🍂🔑🎲'],
      ['the name of what it is for', 'latchkey'],
      ['the name of what it is for, backwards', 'yekhctal'],
      ['the name of what it is for, twice', 'latchkeylatchkey'],
      ['one of 257 characters', 'long '.repeat(52)],
      ['a common one', 'password1'],
      ['a common one in capitals', 'PASSWORD1'],
      ['one character repeated', 'aaaaaaaaaaaaaaa'],
      ['a common one doubled', 'monkeymonkey'],
      ['a sequence', '123456789012345'],
      ['a sequence backwards', '9876543210'],
      ['the alphabet', 'abcdefghijkl'],
      ['the username', 'the.username'],
      ['the username backwards', 'emanresu.eht'],
      ['the username twice', 'the.usernamethe.username'],
      ['a lone surrogate', 'quiet river \ud800 moons'],
    ])('refuses as a password %s', async (_, password) => {
      const { status, body, text } = await call<{ fields: object }>(
        app,
        '/users',
        json({ username: 'the.username', password }),
      );
      expect(status).toBe(400);
      expect(body.fields).toHaveProperty('password');
      expect(text).not.toContain(password);
    });

    it.each([
      ['eight characters', 'k7 qw0cV'],
      ['eight emoji', '😀🦉🌙🌊🍂🔑🎲⚓'],
      ['64 characters', 'sixteen letters '.repeat(4)],
      ['256 characters', 'sixteen letters '.repeat(16)],
      ['lower case and spaces alone', 'quiet river under seven moons'],
      ['emoji, right-to-left and combining marks', '🌙🦉 שלום é 12345'],
      ['spaces at both ends', '  the ends are significant  '],
      ['a NUL inside', 'before\u0000after it'],
    ])('takes as a password %s, exactly', async (_, password) => {
      const user = await register(app, undefined, password);
      await logIn(app, user);
      const shorter = [...password].slice(0, -1).join('');
      const other = await call(app, '/token', form({ ...user, password: shorter }));
      expect(other.status).toBe(401);
    });

    it('takes a password in either normal form of the same text, and no look-alike', async () => {
      const user = await register(app, undefined, 'caf\u00e9 et croissants \ufb01n');
      await logIn(app, { ...user, password: 'cafe\u0301 et croissants \ufb01n' });
      const folded = await call(
        app,
        '/token',
        form({ ...user, password: 'caf\u00e9 et croissants fin' }),
      );
      expect(folded.status).toBe(401);
    });

    it('takes as many letters of a password in one normal form as in the other', async () => {
      const password = '바람이 분다 '.repeat(36).trim(); // 251 characters, 466 code points in NFD
      const user = await register(app, undefined, password.normalize('NFD'));
      await logIn(app, { ...user, password });
      await logIn(app, { ...user, password: password.normalize('NFD') });
    });

    it('refuses the username as a password, however it is written', async () => {
      const taken = { username: '\uff2darigold.k', password: 'marigold.k' };
      const { status, body } = await call(app, '/users', json(taken));
      expect([status, body['fields']]).toEqual([
        400,
        { password: ['password must not be the username'] },
      ]);
    });

    it('refuses fields that are not the caller’s to set', async () => {
      const { status, body } = await call<{ fields: object }>(
        app,
        '/users',
        json({ username: newName(), password: PASSWORD, roles: ['admin'], id: '1', gen: 9 }),
      );
      expect(status).toBe(400);
      expect(Object.keys(body.fields).sort()).toEqual(['gen', 'id', 'roles']);
    });

    it('stores argon2id with a salt of its own', async () => {
      const [a, b] = [await register(app), await register(app)];
      const rows = await app.db
        .selectFrom('users')
        .select('password_hash')
        .where('id', 'in', [a.id, b.id])
        .execute();
      for (const row of rows)
        expect(row.password_hash).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
      expect(rows[0]!.password_hash).not.toBe(rows[1]!.password_hash);
    });
  });

  describe('GET /users/me', () => {
    it('shows the profile and nothing secret', async () => {
      const { id, username, token } = await newLogin(app);
      const { status, body, headers } = await call(app, '/users/me', bearer(token));
      expect(status).toBe(200);
      expect(body).toEqual({ id, username, roles: ['user'], created_at: expect.any(String) });
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('etag')).toBeNull();
    });
  });

  describe('DELETE /users/me', () => {
    it('ends every token of the user at once', async () => {
      const user = await register(app);
      const tokens = [await logIn(app, user), await logIn(app, user)];
      for (const token of tokens) await call(app, '/secure-data', bearer(token)); // remembered
      const { status, text } = await call(
        app,
        '/users/me',
        bearer(tokens[0]!, { method: 'DELETE' }),
      );
      expect([status, text]).toEqual([204, '']);
      for (const token of tokens) {
        const { status, body } = await call(app, '/secure-data', bearer(token));
        expect([status, body['error'], body['code']]).toEqual([
          401,
          'invalid_token',
          'token_revoked',
        ]);
      }
      expect((await call(app, '/token', form({ ...user }))).status).toBe(401);
    });

    it('leaves nothing behind but what refuses the tokens', async () => {
      const { id, token } = await newLogin(app);
      await call(app, '/users/me', bearer(token, { method: 'DELETE' }));
      const sessions = await app.db
        .selectFrom('sessions')
        .select('id')
        .where('user_id', '=', id)
        .execute();
      const rows = await app.db
        .selectFrom('revocations')
        .selectAll()
        .where('subject', '=', id)
        .execute();
      expect(sessions).toEqual([]);
      expect(rows).toMatchObject([{ kind: 'sub', gen: 2 }]);
    });

    it('keeps an old token dead when the name is registered again', async () => {
      const old = await newLogin(app);
      await call(app, '/users/me', bearer(old.token, { method: 'DELETE' }));
      const again = await register(app, old.username);
      expect(again.id).not.toBe(old.id);
      expect((await call(app, '/users/me', bearer(old.token))).body['code']).toBe('token_revoked');
      expect((await call(app, '/users/me', bearer(await logIn(app, again)))).status).toBe(200);
    });
  });
});

it('asks for as many characters as PASSWORD_MIN_LENGTH says, whenever one is chosen', async () => {
  const app = await startApp({ environment: { PASSWORD_MIN_LENGTH: '15' } });
  const [short, enough] = ['fourteen chars', 'fifteen letters'];
  const tooShort = await call(app, '/users', json({ username: newName(), password: short }));
  expect(tooShort.status).toBe(400);
  const user = await register(app, newName(), enough);
  const change = async (new_password: string) => {
    const passwords = json({ current_password: enough, new_password });
    const token = await logIn(app, user);
    return (await call(app, '/users/me/password', bearer(token, passwords))).status;
  };
  expect([await change('quiet old owls'), await change('quiet old otter')]).toEqual([400, 204]);
  await app.close();
});

it('refuses registration while REGISTRATION is closed', async () => {
  const app = await startApp({ environment: { REGISTRATION: 'closed' } });
  const { status, body } = await call(app, '/users', json({ username: 'eve', password: PASSWORD }));
  expect([status, body['error'], body['code']]).toEqual([
    403,
    'access_denied',
    'registration_closed',
  ]);
  await app.close();
});
