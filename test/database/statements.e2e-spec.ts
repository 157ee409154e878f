import { DefaultQueryCompiler } from 'kysely';
import { startApp } from '../support/app.js';
import { logIn, register } from '../support/client.js';
import { DATABASES } from '../support/databases.js';

const { compileQuery } = DefaultQueryCompiler.prototype;
afterAll(() => (DefaultQueryCompiler.prototype.compileQuery = compileQuery));

it.each(DATABASES)(
  'Every login is the same statements, on %s: a value in one would have it prepared anew each time',
  async (database) => {
    const app = await startApp({ database });
    const user = await register(app);
    let compiled = new Set<string>();
    DefaultQueryCompiler.prototype.compileQuery = function (...query) {
      const result = compileQuery.apply(this, query);
      // What is polled in between only reads, but for the sealer.
      const ofLogin = result.sql.startsWith('insert') && !result.sql.includes('audit_seals');
      if (ofLogin) compiled.add(result.sql);
      return result;
    };
    const statementsOfALogin = async () => {
      compiled = new Set();
      await logIn(app, user);
      return compiled;
    };
    await statementsOfALogin(); // the address is not known yet
    const earlier = await statementsOfALogin();
    await app.advance(1);
    expect(await statementsOfALogin()).toEqual(earlier);
    expect(earlier.size).toBeGreaterThan(3);
    await app.close();
  },
);
