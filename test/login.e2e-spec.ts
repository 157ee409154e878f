import { startApp, type TestApp } from './support/app.js';
import { bearer, call, logIn, register } from './support/client.js';
import { DATABASES } from './support/databases.js';

describe.each(DATABASES)('on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database });
  });
  afterAll(() => app.close());

  it('registers, logs in and answers a protected endpoint', async () => {
    const user = await register(app, 'Alice');
    const token = await logIn(app, user);
    const { status, body } = await call(app, '/secure-data', bearer(token));
    expect(status).toBe(200);
    expect(body).toEqual({ message: 'Only Alice can see this data' });
  });
});
