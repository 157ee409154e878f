import { SessionPruning } from '../src/sessions/session-pruning.js';
import { startApp, type TestApp } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  openSession,
  refresh,
  register,
  type TokenBody,
} from './support/client.js';
import { DATABASES } from './support/databases.js';
import { newUserOf } from './support/principals.js';
import { parts } from './support/tokens.js';

const DAY = 86_400;

interface Listed {
  id: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  address: string;
  user_agent: string;
  current: boolean;
}

describe.each(DATABASES)('sessions on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database, environment: { AUDIENCES: 'https://api.example.com' } });
  });
  afterAll(() => app.close());

  const code = async (token: string): Promise<unknown> => {
    const { status, body } = await call(app, '/users/me', bearer(token));
    return status === 200 ? 'ok' : body['code'];
  };
  const list = async (token: string): Promise<Listed[]> =>
    (await call<Listed[]>(app, '/sessions', bearer(token))).body;
  const sid = ({ access_token: token }: TokenBody): string => parts(token).claims['sid'] as string;
  const expectDead = async ({ access_token: access, refresh_token: token }: TokenBody) => {
    expect(await code(access)).toBe('token_revoked');
    expect((await refresh(app, token)).body.code).toBe('session_ended');
  };

  describe('the list', () => {
    it('has each live session once, the last used first, and nothing of a token', async () => {
      const user = await register(app);
      const first = await openSession(app, user);
      await app.advance(10);
      const second = await openSession(app, user);
      await app.advance(10);
      await openSession(app, await register(app));
      const { body: refreshed } = await refresh(app, first.refresh_token);
      const sessions = await list(second.access_token);
      expect(sessions.map(({ id, current }) => [id, current])).toEqual([
        [sid(first), false],
        [sid(second), true],
      ]);
      const [used] = sessions;
      expect(Date.parse(used!.last_used_at) - Date.parse(used!.created_at)).toBeGreaterThan(19_000);
      expect(used).toMatchObject({ address: '127.0.0.1', user_agent: 'node' });
      expect(Date.parse(used!.expires_at)).toBe((app.clock.seconds() + 14 * DAY) * 1000);
      const text = JSON.stringify(sessions);
      for (const secret of [first.refresh_token, refreshed.refresh_token]) {
        expect(text).not.toContain(secret.split('_')[2]);
      }
    });

    it('takes any user agent for what it is, cut to its length', async () => {
      const user = await register(app);
      const login = form({ username: user.username, password: user.password });
      const agent = `<script>${'é'.repeat(300)}`;
      const { body } = await call<TokenBody>(app, '/token', {
        ...login,
        headers: { ...login.headers, 'user-agent': agent },
      });
      expect((await list(body.access_token))[0]?.user_agent).toBe(agent.slice(0, 256));
    });
  });

  describe('ending one', () => {
    it('kills its tokens and no other', async () => {
      const user = await register(app);
      const [kept, ended] = [await openSession(app, user), await openSession(app, user)];
      const path = `/sessions/${sid(ended)}`;
      const answer = await call(app, path, bearer(kept.access_token, { method: 'DELETE' }));
      expect([answer.status, answer.text]).toEqual([204, '']);
      await expectDead(ended);
      expect(await code(kept.access_token)).toBe('ok');
      expect((await list(kept.access_token)).map(({ id }) => id)).toEqual([sid(kept)]);
      const again = await call(app, path, bearer(kept.access_token, { method: 'DELETE' }));
      expect([again.status, again.body['code']]).toEqual([404, 'session_unknown']);
    });

    it('knows no session of another user', async () => {
      const [mine, theirs] = [
        await openSession(app, await register(app)),
        await openSession(app, await register(app)),
      ];
      for (const id of [sid(theirs), 'x', '%00', '..%2f', sid(theirs).toUpperCase()]) {
        const { status } = await call(
          app,
          `/sessions/${id}`,
          bearer(mine.access_token, { method: 'DELETE' }),
        );
        expect(status).toBe(404);
      }
      expect(await code(theirs.access_token)).toBe('ok');
    });

    it('of all others leaves this one', async () => {
      const user = await register(app);
      const sessions = [];
      for (let count = 0; count < 3; count++) sessions.push(await openSession(app, user));
      const [kept, ...others] = sessions as [TokenBody, ...TokenBody[]];
      const init = bearer(kept.access_token, { method: 'DELETE' });
      expect((await call(app, '/sessions/others', init)).status).toBe(204);
      for (const other of others) await expectDead(other);
      expect((await refresh(app, kept.refresh_token)).status).toBe(200);
    });
  });

  describe('POST /logout', () => {
    it('ends the session of a bearer, of a refresh token, or of both', async () => {
      const user = await register(app);
      const [one, two, three, four] = [
        await openSession(app, user),
        await openSession(app, user),
        await openSession(app, user),
        await openSession(app, user),
      ];
      const byBearer = await call(app, '/logout', bearer(one.access_token, { method: 'POST' }));
      expect([byBearer.status, byBearer.text]).toEqual([204, '']);
      const byToken = await call(app, '/logout', form({ refresh_token: two.refresh_token }));
      expect(byToken.status).toBe(204);
      const both = bearer(three.access_token, json({ refresh_token: four.refresh_token }));
      expect((await call(app, '/logout', both)).status).toBe(204);
      for (const session of [one, two, three, four]) await expectDead(session);
    });

    it('ends it also by a token that is expired or was used, and is 204 for anything else', async () => {
      const user = await register(app);
      const [one, two] = [await openSession(app, user), await openSession(app, user)];
      const { body: next } = await refresh(app, two.refresh_token);
      await app.advance(3600);
      const expired = bearer(one.access_token, { method: 'POST' });
      expect((await call(app, '/logout', expired)).status).toBe(204);
      expect((await call(app, '/logout', form({ refresh_token: two.refresh_token }))).status).toBe(
        204,
      );
      for (const { refresh_token: token } of [one, next]) {
        expect((await refresh(app, token)).body.code).toBe('session_ended');
      }
      const nothing: RequestInit[] = [
        { method: 'POST' },
        expired,
        bearer('x.y.z', { method: 'POST' }),
        bearer('not a token', { method: 'POST' }),
        json({ refresh_token: 7 }),
        json([]),
        form({ refresh_token: 'lk_rt_x' }),
      ];
      for (const init of nothing) expect((await call(app, '/logout', init)).status).toBe(204);
      expect((await call(app, '/logout')).status).toBe(404);
    });
  });

  describe('POST /revoke', () => {
    const revoke = (token: string, more = {}) => call(app, '/revoke', form({ token, ...more }));

    it('revokes one access token, and its session goes on', async () => {
      const session = await openSession(app, await register(app));
      const answer = await revoke(session.access_token, { token_type_hint: 'refresh_token' });
      expect([answer.status, answer.text]).toEqual([200, '{}']);
      expect(await code(session.access_token)).toBe('token_revoked');
      const { body } = await refresh(app, session.refresh_token);
      expect(await code(body.access_token)).toBe('ok');
    });

    it('ends the session of a refresh token of any counter, whatever the hint', async () => {
      const session = await openSession(app, await register(app));
      const { body: next } = await refresh(app, session.refresh_token);
      expect((await revoke(session.refresh_token, { token_type_hint: 'pigeon' })).status).toBe(200);
      await expectDead(next);
    });

    it('answers 200 for a token that is foreign, forged, over or revoked already', async () => {
      const session = await openSession(app, await register(app));
      const forged = session.refresh_token.replace('_0_', '_3_');
      for (const token of ['nope', forged, `${session.access_token}x`, 'a.b.c']) {
        expect((await revoke(token)).status).toBe(200);
      }
      expect(await code(session.access_token)).toBe('ok');
      expect((await revoke(session.access_token)).status).toBe(200);
      expect((await revoke(session.access_token)).status).toBe(200);
      await app.advance(3600);
      expect((await revoke(session.access_token)).status).toBe(200);
      expect((await refresh(app, session.refresh_token)).status).toBe(200);
    });

    it('asks for a token in the body, and is there for nothing but POST', async () => {
      expect((await call(app, '/revoke', form({}))).status).toBe(400);
      expect((await call(app, '/revoke?token=x&callback=y')).status).toBe(404);
      expect((await call(app, '/revoke?token=x', { method: 'POST' })).status).toBe(400);
    });

    it('makes an end of a session with more than 20 revoked tokens, so that memory is bounded', async () => {
      const session = await openSession(app, await register(app));
      let { body } = await refresh(app, session.refresh_token);
      for (let count = 0; count < 21; count++) {
        expect((await revoke(body.access_token)).status).toBe(200);
        if (count < 20) ({ body } = await refresh(app, body.refresh_token));
      }
      const rows = await app.db
        .selectFrom('revocations')
        .select('kind')
        .where((eb) => eb.or([eb('sid', '=', sid(session)), eb('subject', '=', sid(session))]))
        .execute();
      expect(rows.filter(({ kind }) => kind === 'jti')).toHaveLength(20);
      expect(rows.filter(({ kind }) => kind === 'sid')).toHaveLength(1);
      await expectDead(body);
    });
  });

  describe('POST /introspect', () => {
    const ask = (caller: string, token: string) =>
      call(app, '/introspect', bearer(caller, form({ token })));

    it('tells a caller about the own tokens, and who holds tokens:introspect about all', async () => {
      const session = await openSession(app, await register(app));
      const admin = await newUserOf(app, 'service');
      const claims = parts(session.access_token).claims;
      for (const caller of [session.access_token, admin.token]) {
        const { status, headers, body } = await ask(caller, session.access_token);
        expect(status).toBe(200);
        expect(headers.get('cache-control')).toBe('no-store');
        const { gen: _, ...shown } = claims;
        expect(body).toEqual({ active: true, token_type: 'bearer', ...shown });
        expect((await ask(caller, session.refresh_token)).body).toMatchObject({
          active: true,
          sub: claims['sub'],
          sid: claims['sid'],
          scope: 'profile',
        });
      }
      expect((await refresh(app, session.refresh_token)).status).toBe(200);
    });

    it('sees a token that was made for another service', async () => {
      const user = await register(app);
      const admin = await newUserOf(app, 'service');
      const { body } = await call<TokenBody>(
        app,
        '/token',
        form({ ...user, resource: 'https://api.example.com' }),
      );
      expect((await ask(admin.token, body.access_token)).body).toMatchObject({
        active: true,
        aud: 'https://api.example.com',
      });
    });

    it('says no more than that of a token that is foreign, unknown, used, expired or revoked', async () => {
      const [user, other] = [await register(app), await register(app)];
      const [mine, theirs] = [await openSession(app, user), await openSession(app, other)];
      const old = await openSession(app, user);
      const { body: rotated } = await refresh(app, old.refresh_token);
      await call(app, '/revoke', form({ token: rotated.access_token }));
      const inactive = [
        theirs.access_token,
        theirs.refresh_token,
        old.refresh_token,
        rotated.access_token,
        'nope',
        `${mine.access_token}x`,
      ];
      for (const token of inactive) {
        const { status, text } = await ask(mine.access_token, token);
        expect([status, text]).toEqual([200, '{"active":false}']);
      }
      await app.advance(1900);
      const { body: now } = await refresh(app, mine.refresh_token);
      expect((await ask(now.access_token, mine.access_token)).text).toBe('{"active":false}');
    });

    it('asks who is calling, and for a token in the body of a POST', async () => {
      const { access_token: token } = await openSession(app, await register(app));
      expect((await call(app, '/introspect', form({ token }))).status).toBe(401);
      expect((await call(app, '/introspect', bearer(token, form({})))).status).toBe(400);
      expect((await call(app, `/introspect?token=${token}`, bearer(token))).status).toBe(404);
    });
  });

  it('are pruned once nothing of them can be used, a few at a time', async () => {
    const user = await register(app);
    const session = await openSession(app, user);
    const pruning = app.nest.get(SessionPruning, { strict: false });
    const rows = Array.from({ length: 450 }, (_, index) => ({
      id: `old-${index}`,
      user_id: user.id,
      scopes: 'profile',
      auth_time: 0,
      refresh_id: null,
      counter: 0,
      rotated_at: 0,
      idle_expires_at: app.clock.now() - 25 * 3_600_000 - index,
      expires_at: app.clock.now(),
      access_expires_at: 0,
      ended_at: null,
      address: null,
      user_agent: null,
    }));
    await app.db.insertInto('sessions').values(rows).execute();
    expect(await pruning.prune()).toBe(450);
    expect((await refresh(app, session.refresh_token)).status).toBe(200);
  });
});
