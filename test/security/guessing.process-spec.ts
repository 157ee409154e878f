import { call, form, register } from '../support/client.js';
import { DATABASES, newDatabase } from '../support/databases.js';
import { serverEnvironment, startServer } from '../support/process.js';

it.each(DATABASES)(
  'Guessing, on %s, is still over after the process was killed and started anew',
  async (database) => {
    const environment = serverEnvironment(await newDatabase(database));
    const first = await startServer(environment);
    const { username, password } = await register(first);
    const guess = async (server: { url: string }) =>
      (await call(server, '/token', form({ username, password: 'a wrong one' }))).status;
    for (let attempt = 0; attempt < 30; attempt++) expect(await guess(first)).toBe(401);
    await first.kill('SIGKILL');
    const second = await startServer(environment);
    expect(await guess(second)).toBe(429);
    expect((await call(second, '/token', form({ username, password }))).status).toBe(429);
    await second.kill();
  },
);
