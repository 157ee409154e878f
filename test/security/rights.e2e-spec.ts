import { Controller, Get, UseGuards } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AppModule } from '../../src/app.module.js';
import { configureApp, createAdapter } from '../../src/app.setup.js';
import { CurrentUser } from '../../src/auth/current-user.js';
import { JwtAuthGuard } from '../../src/auth/jwt-auth.guard.js';
import { LocalAuthGuard } from '../../src/auth/local-auth.guard.js';
import { Public } from '../../src/auth/public.js';
import { RequireRecentLogin } from '../../src/auth/require-recent-login.js';
import { RequireScopes } from '../../src/auth/require-scopes.js';
import { SessionOnly } from '../../src/auth/session-only.js';
import { loadConfig } from '../../src/config/config.js';
import { createLogger } from '../../src/http/log.js';
import type { Principal } from '../../src/tokens/principal.js';
import { Account } from '../../src/users/account.js';
import { startApp, TEST_ENVIRONMENT, type TestApp } from '../support/app.js';
import { bearer, call, form, json, logIn, newLogin, newName, PASSWORD } from '../support/client.js';
import { newDatabase } from '../support/databases.js';
import { withOracle } from '../support/oracle.js';
import { CALLERS, newAdmin, newInvited } from '../support/principals.js';

@UseGuards(JwtAuthGuard)
@Controller('resource')
class ResourceController {
  @RequireScopes('admin')
  @Get('admin')
  admin(@CurrentUser() { username }: Principal): { message: string } {
    return { message: username };
  }

  @RequireScopes('profile', 'admin')
  @Get('both')
  both(): { message: string } {
    return { message: 'both' };
  }
}

@UseGuards(JwtAuthGuard)
@RequireScopes('admin')
@Controller('whole')
class WholeController {
  @Get()
  read(): { message: string } {
    return { message: 'whole' };
  }

  /** What a handler asks for stands in the place of what its controller asks for. */
  @RequireScopes('profile')
  @Get('profile')
  profile(): { message: string } {
    return { message: 'profile' };
  }
}

let app: TestApp;
beforeAll(async () => {
  app = await startApp({
    environment: { REGISTRATION: 'open', METRICS: 'open' },
    module: { controllers: [ResourceController, WholeController] },
  });
});
afterAll(() => app.close());

type Row = Record<string, number>;
/** Alike for everybody, whatever they present. */
const OPEN = (status: number): Row =>
  Object.fromEntries(Object.keys(CALLERS).map((caller) => [caller, status]));
/** For a user, an admin, and those who have less; what presents no live access gets none. */
const BEARER = (user: number, admin = user, less: Row = {}): Row => ({
  ...OPEN(401),
  user,
  admin,
  service: user,
  'invited user': 403,
  'API token': user,
  'API token of an admin': admin,
  'API token without scopes': user,
  ...less,
});
/** An API token opens nothing of the account, whoever has made it. */
const SESSION = (user: number, admin = user, less: Row = {}): Row =>
  BEARER(user, admin, {
    'API token': 403,
    'API token of an admin': 403,
    'API token without scopes': 403,
    ...less,
  });
/** Without the scope of people there is nothing to see. */
const SCOPED = (user: number, admin = user): Row =>
  BEARER(user, admin, { service: 403, 'API token without scopes': 403 });

/** What each caller is answered at each route, to an empty body. A new route is added on purpose. */
const MATRIX: Record<string, Row> = {
  'GET /': OPEN(302),
  'GET /.well-known/jwks.json': OPEN(200),
  'GET /.well-known/oauth-authorization-server': OPEN(200),
  'GET /docs': OPEN(200),
  'GET /docs-json': OPEN(200),
  'GET /docs/docs.css': OPEN(200),
  'GET /docs/docs.mjs': OPEN(200),
  'GET /docs/favicon.png': OPEN(200),
  'GET /docs/session.mjs': OPEN(200),
  'GET /docs/swagger-ui.css': OPEN(200),
  'GET /docs/swagger-ui.js': OPEN(200),
  'GET /health/live': OPEN(200),
  'GET /health/ready': OPEN(200),
  'GET /metrics': OPEN(200),
  'GET /revocations': OPEN(200),
  'POST /token': OPEN(400),
  'POST /revoke': OPEN(400),
  // No page sent it: see browser-login.e2e-spec.ts.
  'POST /login': OPEN(403),
  'POST /login/refresh': OPEN(403),
  'POST /logout': OPEN(204),
  'POST /introspect': BEARER(400),
  'GET /sessions': SESSION(200),
  'DELETE /sessions/others': SESSION(204),
  'DELETE /sessions/:id': SESSION(404),
  'GET /admin/users': SESSION(403, 200),
  'POST /admin/users': SESSION(403, 400),
  'PATCH /admin/users/:id': SESSION(403, 404),
  'DELETE /admin/users/:id': SESSION(403, 404),
  'GET /admin/audit': SESSION(403, 200),
  'GET /api-tokens': SESSION(200),
  'POST /api-tokens': SESSION(400),
  'DELETE /api-tokens': SESSION(204),
  'DELETE /api-tokens/:id': SESSION(404),
  'POST /users': OPEN(400),
  'GET /secure-data': BEARER(200),
  'GET /users/me': SESSION(200),
  'DELETE /users/me': SESSION(204),
  'POST /users/me/password': SESSION(400, 400, { 'invited user': 400 }),
  'GET /resource/admin': BEARER(403, 200),
  'GET /resource/both': BEARER(403, 200),
  'GET /whole': BEARER(403, 200),
  'GET /whole/profile': SCOPED(200),
};

describe('Every route, for every kind of caller,', () => {
  /** Each kind of caller once, for what only reads, and leaves them as they are. */
  const readers = new Map<string, string | undefined>();
  const reader = async (name: string): Promise<string | undefined> => {
    if (!readers.has(name)) readers.set(name, await CALLERS[name]!(app));
    return readers.get(name);
  };

  it('is in the table', () => {
    const routes = app.routes().filter((route) => !route.startsWith('HEAD '));
    expect(routes.sort()).toEqual(Object.keys(MATRIX).sort());
  });

  it.each(Object.entries(MATRIX))('answers as the table has it: %s', async (route, expected) => {
    const [method = '', path = ''] = route.split(' ');
    const found: Record<string, number> = {};
    for (const [name, login] of Object.entries(CALLERS)) {
      const token = method === 'GET' ? await reader(name) : await login(app);
      const init = method === 'POST' ? json({}) : { method };
      const answer = await call(app, path, token === undefined ? init : bearer(token, init));
      found[name] = answer.status;
    }
    expect(found).toEqual(expected);
  });
});

describe('A token without the scope', () => {
  it.each([
    ['/resource/admin', 'admin'],
    ['/resource/both', 'admin'],
    ['/whole', 'admin'],
  ])('is told at %s which one is missing', async (path, scope) => {
    const { token } = await newLogin(app);
    for (let times = 0; times < 2; times++) {
      const { status, body, headers } = await call(app, path, bearer(token));
      expect([status, body['error'], body['code']]).toEqual([
        403,
        'insufficient_scope',
        'scope_missing',
      ]);
      expect(headers.get('www-authenticate')).toBe(
        'Bearer realm="latchkey", error="insufficient_scope", ' +
          `error_description="The access token lacks the scope ${scope}", scope="${scope}"`,
      );
    }
  });

  it('stays without it, though its owner could have it: a login for less is a login for less', async () => {
    const { username } = await newAdmin(app);
    const { body } = await call<{ access_token: string }>(
      app,
      '/token',
      form({ username, password: PASSWORD, scope: 'profile' }),
    );
    expect((await call(app, '/resource/admin', bearer(body.access_token))).status).toBe(403);
  });

  it('is in the log, with who, what, when, from where, and what came of it', async () => {
    const { id, token } = await newLogin(app);
    const { headers } = await call(app, '/resource/admin', bearer(token));
    const line = app
      .log()
      .split('\n')
      .find((text) => text.includes(headers.get('x-request-id')!));
    expect(JSON.parse(line!)).toMatchObject({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      method: 'GET',
      route: '/resource/admin',
      status: 403,
      ip: '127.0.0.1',
      sub: id,
    });
  });
});

it('Rights that were given or taken bind from the next request on', async () => {
  const { id, username, token } = await newAdmin(app);
  const account = app.nest.get(Account, { strict: false });
  expect((await call(app, '/resource/admin', bearer(token))).status).toBe(200);
  await account.setRoles(id, ['user'], { id: 'cli' });
  expect((await call(app, '/resource/admin', bearer(token))).body['code']).toBe('token_revoked');
  const fewer = await logIn(app, { username, password: PASSWORD });
  expect((await call(app, '/resource/admin', bearer(fewer))).status).toBe(403);
  await account.setRoles(id, ['admin'], { id: 'cli' });
  const again = await logIn(app, { username, password: PASSWORD });
  expect((await call(app, '/resource/admin', bearer(again))).status).toBe(200);
});

it('What an invited user is refused tells them what to do', async () => {
  const { token } = await newInvited(app);
  const { body } = await call(app, '/users/me', bearer(token));
  expect(body).toEqual({
    error: 'access_denied',
    error_description: 'The password must be changed first, at /users/me/password',
    code: 'password_change_required',
  });
});

describe('What only JwtAuthGuard looks at stops the start without it, by name:', () => {
  @RequireScopes('admin')
  @Controller('bare')
  class BareController {
    @Get()
    read(): void {}
  }
  @Controller('open')
  class OpenController {
    @Public()
    @RequireScopes('admin')
    @Get()
    read(): void {}
  }
  @Controller('local')
  class LocalController {
    @UseGuards(LocalAuthGuard)
    @RequireScopes('admin')
    @Get()
    read(): void {}
  }

  @Controller('session')
  @SessionOnly()
  class SessionController {
    @Public()
    @Get()
    read(): void {}
  }
  @Controller('recent')
  class RecentController {
    @Public()
    @RequireRecentLogin('5m')
    @Get()
    read(): void {}
  }

  it.each([
    ['@RequireScopes and no guard', BareController],
    ['@RequireScopes and @Public()', OpenController],
    ['@RequireScopes and a guard that knows no scopes', LocalController],
    ['@SessionOnly on a controller and @Public()', SessionController],
    ['@RequireRecentLogin and @Public()', RecentController],
  ])('%s', async (_, controller) => {
    await app.close(); // there can be only one application in a process
    const config = loadConfig({ ...TEST_ENVIRONMENT, DATABASE_URL: await newDatabase('sqlite') });
    const testing = await Test.createTestingModule({
      imports: [AppModule.for(config)],
      controllers: [controller],
    }).compile();
    const nest = testing.createNestApplication(createAdapter(config), { bodyParser: false });
    const start = configureApp(nest as never, createLogger('silent', { write: () => undefined }));
    await expect(start).rejects.toThrow(`not protected: ${controller.name}.read`);
    await nest.close();
    app = await startApp();
  });
});

describe('What is not the caller’s to set', () => {
  const FIELDS = {
    role: 'admin',
    roles: ['admin'],
    scopes: ['admin'],
    disabled: false,
    disabled_at: null,
    gen: 99,
    tokenVersion: 99,
    password_version: 99,
    id: '00000000-0000-4000-8000-000000000000',
    passwordHash: 'x',
    emailVerified: true,
    createdAt: 0,
  };
  const row = (id: string) =>
    app.db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  it.each(['PATCH', 'PUT', 'POST'])('cannot be set by %s on the profile', async (method) =>
    withOracle(app, async ({ call }) => {
      const { id, token } = await newLogin(app);
      const before = await row(id);
      const { status } = await call('/users/me', bearer(token, json(FIELDS, method)));
      expect(status).toBe(404);
      expect(await row(id)).toEqual(before);
    }),
  );

  it.each(Object.entries(FIELDS))('cannot be set with a new password: %s', async (name, value) =>
    withOracle(app, async ({ call }) => {
      const { id, password, token } = await newLogin(app);
      const before = await row(id);
      const { status, body } = await call<{ fields: object }>(
        '/users/me/password',
        bearer(
          token,
          json({ current_password: password, new_password: 'five new oaks', [name]: value }),
        ),
      );
      expect([status, Object.keys(body.fields)]).toEqual([400, [name]]);
      expect(await row(id)).toEqual(before);
    }),
  );

  it.each(Object.entries(FIELDS))('cannot be set when registering: %s', async (name, value) =>
    withOracle(app, async ({ call }) => {
      const username = newName();
      const { status, body } = await call<{ fields: object }>(
        '/users',
        json({ username, password: PASSWORD, [name]: value }),
      );
      expect([status, Object.keys(body.fields)]).toEqual([400, [name]]);
      const users = app.db.selectFrom('users').select('id').where('username', '=', username);
      expect(await users.execute()).toEqual([]);
    }),
  );

  it('has no effect on a token', async () =>
    withOracle(app, async ({ call }) => {
      const { username, password } = await newLogin(app);
      const { status, body } = await call(
        '/token',
        json({ username, password, ...FIELDS, sub: FIELDS.id, aud: 'other' }),
      );
      expect([status, body['scope']]).toEqual([200, 'profile']);
    }));
});
