import { Account } from '../src/users/account.js';
import { startApp, type TestApp, urlOf } from './support/app.js';
import {
  bearer,
  call,
  form,
  json,
  openSession,
  PASSWORD,
  refresh,
  register,
  type TokenBody,
} from './support/client.js';
import { FrozenClock } from './support/clock.js';
import { DATABASES } from './support/databases.js';
import { newAdmin, newInvited } from './support/principals.js';
import { parts } from './support/tokens.js';

const OPERATOR = { id: 'cli' };
const DAY = 86_400;

describe.each(DATABASES)('refresh on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      database,
      environment: { AUDIENCES: 'https://api.example.com, urn:example:reports' },
    });
  });
  afterAll(() => app.close());

  const newSession = async (): Promise<TokenBody & { userId: string; username: string }> => {
    const user = await register(app);
    return { ...(await openSession(app, user)), userId: user.id, username: user.username };
  };

  const works = async (accessToken: string): Promise<boolean> =>
    (await call(app, '/users/me', bearer(accessToken))).status === 200;

  const expectOver = async (...refreshTokens: string[]): Promise<void> => {
    for (const token of refreshTokens) {
      const { status, body } = await refresh(app, token);
      expect({ status, error: body.error, code: body.code }).toEqual({
        status: 400,
        error: 'invalid_grant',
        code: 'session_ended',
      });
    }
  };

  const lastEvent = () =>
    app.db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst();

  it('gives the next access token and the next refresh token, with the same scope and session', async () => {
    const first = await newSession();
    expect(first.refresh_token).toMatch(/^lk_rt_[0-9a-f]{32}_0_[A-Za-z0-9_-]{43}$/);
    await app.advance(60);
    const { status, headers, body } = await refresh(app, first.refresh_token);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('pragma')).toBe('no-cache');
    expect(body).toMatchObject({
      token_type: 'bearer',
      expires_in: 1800,
      scope: first.scope,
      refresh_expires_in: 14 * DAY,
    });
    expect(body.session_expires_in).toBeLessThanOrEqual(90 * DAY - 60);
    expect(body.session_expires_in).toBeGreaterThanOrEqual(90 * DAY - 62);
    expect(body.refresh_token).not.toBe(first.refresh_token);
    const [before, after] = [parts(first.access_token).claims, parts(body.access_token).claims];
    for (const claim of ['sub', 'sid', 'auth_time', 'scope', 'gen', 'aud']) {
      expect(after[claim]).toEqual(before[claim]);
    }
    expect(after['jti']).not.toBe(before['jti']);
    expect(Number(after['iat'])).toBe(Number(before['iat']) + 60);
    expect(await works(body.access_token)).toBe(true);
  });

  it('gives everyone the same successor within the reuse interval, each with an access token', async () => {
    const { refresh_token: token } = await newSession();
    const answers = await Promise.all(Array.from({ length: 24 }, () => refresh(app, token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => parts(body.access_token).claims['jti'])).size).toBe(
      24,
    );
    for (const { body } of answers.slice(0, 3)) expect(await works(body.access_token)).toBe(true);
    await app.advance(10);
    expect((await refresh(app, token)).body.refresh_token).toBe(answers[0]?.body.refresh_token);
  });

  it('ends the session when a token is used again after the interval, for the thief and the owner', async () => {
    const { refresh_token: first, access_token: a0 } = await newSession();
    const { body: second } = await refresh(app, first);
    await app.advance(10.001);
    await expectOver(first);
    const reuse = await lastEvent();
    expect(reuse).toMatchObject({ event: 'authn_token_reuse', address: '127.0.0.1' });
    expect(JSON.parse(reuse!.detail!)).toEqual({
      last_address: '127.0.0.1',
      presented: 0,
      current: 1,
    });
    expect(app.log()).toContain(`A refresh token of session ${reuse!.session_id} was used again`);
    await expectOver(second.refresh_token);
    for (const token of [a0, second.access_token]) {
      expect((await call(app, '/users/me', bearer(token))).body['code']).toBe('token_revoked');
    }
  });

  it('takes the token before the last as used again, however fast they were rotated', async () => {
    const { refresh_token: first } = await newSession();
    const { body: second } = await refresh(app, first);
    const { body: third } = await refresh(app, second.refresh_token);
    await expectOver(first, second.refresh_token, third.refresh_token);
  });

  it('tells a restored backup from a theft: a token ahead of its row ends the session too', async () => {
    const { refresh_token: first, userId } = await newSession();
    const { body } = await refresh(app, first);
    await app.db
      .updateTable('sessions')
      .set({ counter: 0 })
      .where('user_id', '=', userId)
      .execute();
    await expectOver(body.refresh_token);
    expect((await lastEvent())?.event).toBe('session_restored_from_backup');
  });

  it('ends without a refresh for so long, and at the end of the session however often it is used', async () => {
    const idle = await newSession();
    const used = await newSession();
    await app.advance(14 * DAY - 1);
    let { body } = await refresh(app, used.refresh_token);
    await app.advance(1);
    await expectOver(idle.refresh_token);
    expect(await lastEvent()).toMatchObject({ event: 'session_use_after_expire' });
    for (let days = 28; days < 90; days += 14) {
      await app.advance(14 * DAY - 2);
      ({ body } = await refresh(app, body.refresh_token));
      expect(body.refresh_token).toBeDefined();
    }
    expect(body.refresh_expires_in).toBe(body.session_expires_in);
    await app.advance(body.session_expires_in + 1);
    await expectOver(body.refresh_token);
  });

  it('narrows the scope of one access token, never of the session, and never widens it', async () => {
    const admin = await newAdmin(app);
    const login = await call<TokenBody>(
      app,
      '/token',
      form({ username: admin.username, password: PASSWORD, scope: 'profile admin' }),
    );
    const narrow = await refresh(app, login.body.refresh_token, { scope: 'profile' });
    expect(narrow.body.scope).toBe('profile');
    const wide = await refresh(app, narrow.body.refresh_token);
    expect(wide.body.scope).toBe('profile admin');
    const wider = await refresh(app, wide.body.refresh_token, { scope: 'tokens:introspect' });
    expect([wider.status, wider.body.error]).toEqual([400, 'invalid_scope']);
    // A refused request has used nothing up.
    expect((await refresh(app, wide.body.refresh_token)).status).toBe(200);
  });

  it('drops what the user has lost since, and does not give what was gained', async () => {
    const admin = await newAdmin(app);
    const session = await openSession(app, { ...admin, password: PASSWORD });
    const account = app.nest.get(Account, { strict: false });
    await account.setRoles(admin.id, ['user'], OPERATOR);
    const { body } = await refresh(app, session.refresh_token);
    expect(body.scope).toBe('profile');
    expect(await works(body.access_token)).toBe(true);
    expect(await works(session.access_token)).toBe(false);
    await account.setRoles(admin.id, ['admin'], OPERATOR);
    expect((await refresh(app, body.refresh_token)).body.scope).toBe('profile admin');
    const user = await newSession();
    await account.setRoles(user.userId, ['admin'], OPERATOR);
    expect((await refresh(app, user.refresh_token)).body.scope).toBe('profile');
  });

  it('is over when the user is disabled, deleted, or changed the password in another session', async () => {
    const account = app.nest.get(Account, { strict: false });
    const [disabled, deleted, changed] = [
      await newSession(),
      await newSession(),
      await newSession(),
    ];
    await account.disable(disabled.userId, OPERATOR);
    await account.delete(deleted.userId, OPERATOR);
    const other = await openSession(app, { username: changed.username, password: PASSWORD });
    const answer = await call(
      app,
      '/users/me/password',
      bearer(
        other.access_token,
        json({ current_password: PASSWORD, new_password: 'nine slow herons at dawn' }),
      ),
    );
    expect(answer.status).toBe(204);
    await expectOver(disabled.refresh_token, deleted.refresh_token, changed.refresh_token);
    expect((await refresh(app, other.refresh_token)).status).toBe(200);
    await account.enable(disabled.userId, OPERATOR);
    await expectOver(disabled.refresh_token);
  });

  it('takes no other text for a refresh token', async () => {
    const { refresh_token: token, access_token: accessToken } = await newSession();
    await expectOver(
      accessToken,
      'nope',
      `${token}x`,
      token.slice(0, -1),
      token.replace('_0_', '_1_'),
    );
    expect((await refresh(app, token)).status).toBe(200);
    const unnamed = await call(app, '/token', form({ refresh_token: token }));
    expect([unnamed.status, unnamed.body['error']]).toEqual([400, 'invalid_request']);
    const missing = await call(app, '/token', form({ grant_type: 'refresh_token' }));
    expect([missing.status, missing.body['error']]).toEqual([400, 'invalid_request']);
    const query = await call(app, `/token?refresh_token=${token}&grant_type=refresh_token`, {
      method: 'POST',
    });
    expect(query.status).toBe(400);
  });

  it('gives a token for one of the audiences, which opens nothing here', async () => {
    const session = await newSession();
    for (const resource of ['https://api.example.com', 'urn:example:reports']) {
      const login = await call<TokenBody>(
        app,
        '/token',
        form({ username: session.username, password: PASSWORD, resource }),
      );
      expect(parts(login.body.access_token).claims['aud']).toBe(resource);
      expect((await call(app, '/users/me', bearer(login.body.access_token))).body['code']).toBe(
        'token_invalid',
      );
      const { body } = await refresh(app, login.body.refresh_token, { resource });
      expect(parts(body.access_token).claims['aud']).toBe(resource);
      const own = await refresh(app, body.refresh_token);
      expect(parts(own.body.access_token).claims['aud']).toBe(app.config.issuer);
    }
    const unknown = await refresh(app, session.refresh_token, { resource: 'https://evil.example' });
    expect([unknown.status, unknown.body.error]).toEqual([400, 'invalid_target']);
    expect((await refresh(app, session.refresh_token)).status).toBe(200);
  });

  it('makes no token for another service from a one-time password', async () => {
    const { username, password } = await newInvited(app);
    const login = { username, password, resource: 'https://api.example.com' };
    const { status, body } = await call(app, '/token', form(login));
    expect([status, body['error'], body['code']]).toEqual([
      400,
      'invalid_target',
      'password_change_required',
    ]);
  });

  it('is not kept from working by an expired bearer or an unknown Basic client', async () => {
    const { refresh_token: token, access_token: accessToken } = await newSession();
    await app.advance(3600);
    const init = form({ grant_type: 'refresh_token', refresh_token: token });
    expect((await call(app, '/token', bearer(accessToken, init))).status).toBe(200);
  });

  it('ends the oldest session of a user who has too many', async () => {
    const small = await restart({ MAX_SESSIONS: '2' });
    const user = await register(small);
    const sessions: TokenBody[] = [];
    for (let count = 0; count < 4; count++) {
      sessions.push(await openSession(small, user));
      await small.advance(1);
    }
    const live = await Promise.all(
      sessions.map(async ({ access_token: token }) => {
        return (await call(small, '/users/me', bearer(token))).status === 200;
      }),
    );
    expect(live).toEqual([false, false, true, true]);
    const told = await small.db
      .selectFrom('audit')
      .select('session_id')
      .where('event', '=', 'session_ended')
      .where('user_id', '=', user.id)
      .orderBy('id')
      .execute();
    expect(told.map(({ session_id: id }) => id)).toEqual(
      sessions.slice(0, 2).map(({ access_token: token }) => parts(token).claims['sid']),
    );
    for (const { refresh_token: token } of sessions.slice(0, 2)) await expectOver(token);
    expect((await refresh(small, sessions[3]!.refresh_token)).status).toBe(200);
  });

  it('never ends the session that is one too many, though the clock was set back', async () => {
    const small = await restart({ MAX_SESSIONS: '1' });
    const user = await register(small);
    await openSession(small, user);
    small.clock.step(-60);
    const newest = await openSession(small, user);
    expect((await call(small, '/users/me', bearer(newest.access_token))).status).toBe(200);
    expect((await refresh(small, newest.refresh_token)).status).toBe(200);
    small.clock.step(60);
  });

  it('remembers a used token across a restart', async () => {
    const { refresh_token: first } = await newSession();
    const { body: second } = await refresh(app, first);
    const DATABASE_URL = urlOf(app);
    const { clock } = app;
    await app.close();
    app = await startApp({ database, environment: { DATABASE_URL } });
    app.clock.advance((clock.now() - app.clock.now()) / 1000 + 60);
    await app.advance(0);
    expect((await refresh(app, second.refresh_token)).status).toBe(200);
    await expectOver(first);
  });

  it('knows no reuse interval that began in the future, when the clock was set back since', async () => {
    const { refresh_token: first } = await newSession();
    const { refresh_token: lost } = await newSession();
    app.clock.step(3600);
    const { body: second } = await refresh(app, first);
    const { body: unheard } = await refresh(app, lost);
    // As long as it is right that it was a moment ago, everyone gets the successor.
    expect((await refresh(app, lost)).body.refresh_token).toBe(unheard.refresh_token);
    app.clock.step(-3600);
    await app.advance(60);
    // It may be a thief's, or of a client that lost the answer: no successor, and no accusation.
    await expectOver(lost);
    expect(await lastEvent()).toMatchObject({
      event: 'session_use_after_expire',
      detail: JSON.stringify({ cause: 'clock' }),
    });
    const { body: third } = await refresh(app, second.refresh_token);
    expect(await works(third.access_token)).toBe(true);
    expect((await refresh(app, unheard.refresh_token)).status).toBe(200);
  });

  it('takes a token for used again that comes back after it was refused for the clock', async () => {
    const { refresh_token: first } = await newSession();
    app.clock.step(3600);
    const { body: second } = await refresh(app, first);
    app.clock.step(-3600);
    await expectOver(first);
    await expectOver(first);
    expect((await lastEvent())?.event).toBe('authn_token_reuse');
    await expectOver(second.refresh_token);
  });

  it('gives the same successor over a step back that clocks may differ by', async () => {
    const { refresh_token: first } = await newSession();
    const { body: second } = await refresh(app, first);
    app.clock.step(-5);
    expect((await refresh(app, first)).body.refresh_token).toBe(second.refresh_token);
    app.clock.step(5);
  });

  it('goes on after a restart with the clock a day back', async () => {
    const used = await newSession();
    const { body: second } = await refresh(app, used.refresh_token);
    const DATABASE_URL = urlOf(app);
    const { clock } = app;
    await app.close();
    const dayBack = new FrozenClock(clock.now() - DAY * 1000);
    app = await startApp({ database, clock: dayBack, environment: { DATABASE_URL } });
    const { status, body: third } = await refresh(app, second.refresh_token);
    expect([status, third.expires_in]).toEqual([200, 1800]);
    expect(await works(third.access_token)).toBe(true);
    const user = { username: used.username, password: PASSWORD };
    expect(await works((await openSession(app, user)).access_token)).toBe(true);
    // What was used is two counters back, whatever the time is.
    await expectOver(used.refresh_token);
  });

  const restart = async (environment: Record<string, string>): Promise<TestApp> => {
    await app.close();
    app = await startApp({ database, environment });
    return app;
  };
});

it('gives no refresh token to a session that may only change the password', async () => {
  const app = await startApp();
  const { username, password } = await newInvited(app);
  const { body } = await call(app, '/token', form({ username, password }));
  expect(Object.keys(body).sort()).toEqual(['access_token', 'expires_in', 'scope', 'token_type']);
  await app.close();
});
