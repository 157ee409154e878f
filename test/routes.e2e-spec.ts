import { Controller, Get, Post, UseGuards } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AppModule } from '../src/app.module.js';
import { configureApp, createAdapter } from '../src/app.setup.js';
import { JwtAuthGuard } from '../src/auth/jwt-auth.guard.js';
import { loadConfig } from '../src/config/config.js';
import { createLogger } from '../src/http/log.js';
import { startApp, TEST_ENVIRONMENT, type TestApp } from './support/app.js';
import { bearer, call, newLogin } from './support/client.js';
import { newDatabase } from './support/databases.js';

/** Every route that answers without a token. A new one must be added here, on purpose. */
const OPEN = [
  'GET /',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /docs',
  'GET /docs-json',
  'GET /docs/docs.css',
  'GET /docs/docs.mjs',
  'GET /docs/favicon.png',
  'GET /docs/session.mjs',
  'GET /docs/swagger-ui.css',
  'GET /docs/swagger-ui.js',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /revocations',
  'POST /login',
  'POST /login/refresh',
  'POST /logout',
  'POST /revoke',
  'POST /token',
  'POST /users',
];

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

/** Whether a route asks for a token. HEAD has no body, and no route of its own: Fastify makes it from GET. */
async function isGuarded(route: string): Promise<boolean> {
  const [method = '', path = ''] = route.split(' ');
  const { status, body } = await call(app, path.replace(/:\w+/g, 'x'), { method });
  return status === 401 && (method === 'HEAD' || body['code'] === 'token_missing');
}

describe('every route of the running application', () => {
  it('asks for a token, unless it is on the list of open ones', async () => {
    const routes = app.routes();
    expect(routes.length).toBeGreaterThan(OPEN.length);
    const open: string[] = [];
    for (const route of routes) {
      if (await isGuarded(route)) continue;
      if (route.startsWith('HEAD ')) expect(OPEN).toContain(route.replace('HEAD', 'GET'));
      else open.push(route);
    }
    expect(open.sort()).toEqual(OPEN);
  });

  it('is under a padlock in the document exactly where it asks for a token', async () => {
    const { body } = await call<{ paths: Record<string, Record<string, { security?: object[] }>> }>(
      app,
      '/docs-json',
    );
    const operations = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security = [] }]) => ({
        route: `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
        padlocked: security.length > 0,
      })),
    );
    expect(operations).toContainEqual({ route: 'DELETE /admin/users/:id', padlocked: true });
    expect(operations).toContainEqual({ route: 'POST /token', padlocked: false });
    for (const { route, padlocked } of operations) {
      expect([route, padlocked]).toEqual([route, await isGuarded(route)]);
    }
  });
});

it('describes what every body has in it', async () => {
  const { body } = await call<{
    components: { schemas: Record<string, { properties?: object }> };
  }>(app, '/docs-json');
  const schemas = Object.entries(body.components.schemas);
  expect(schemas.map(([name]) => name)).toContain('SecureDataDto');
  const empty = schemas.filter(([, { properties = {} }]) => Object.keys(properties).length === 0);
  expect(empty).toEqual([]);
});

describe('a handler without a guard', () => {
  it('stops the start, by name', async () => {
    @Controller('forgotten')
    class ForgottenController {
      @Get()
      read(): string {
        return 'open to everyone';
      }
      @UseGuards(JwtAuthGuard)
      @Post()
      write(): void {}
    }
    await app.close(); // there can be only one application in a process
    const config = loadConfig({ ...TEST_ENVIRONMENT, DATABASE_URL: await newDatabase('sqlite') });
    const testing = await Test.createTestingModule({
      imports: [AppModule.for(config)],
      controllers: [ForgottenController],
    }).compile();
    const nest = testing.createNestApplication(createAdapter(config), { bodyParser: false });
    const log = createLogger('silent', { write: () => undefined });
    await expect(configureApp(nest as never, log)).rejects.toThrow(
      /not protected: ForgottenController\.read\. /,
    );
    await nest.close();
    app = await startApp();
  });
});

it('refuses a second application in one process, and room is made when the first is closed', async () => {
  await expect(startApp()).rejects.toThrow('Only one application can run in a process');
  const { token } = await newLogin(app);
  expect((await call(app, '/secure-data', bearer(token))).status).toBe(200);
});
