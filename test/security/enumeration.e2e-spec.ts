import bcrypt from 'bcrypt';
import { Passwords } from '../../src/passwords/passwords.js';
import { Account } from '../../src/users/account.js';
import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import { call, form, json, newName, PASSWORD, register } from '../support/client.js';
import { DATABASES } from '../support/databases.js';
import { withOracle } from '../support/oracle.js';
import { newInvited } from '../support/principals.js';

describe.each(DATABASES)('Who exists, on %s,', (database) => {
  let app: TestApp;
  /** Everybody whose login must fail like that of nobody. */
  const names: Record<string, string> = {};

  beforeAll(async () => {
    app = await startApp({
      database,
      environment: { TRUST_PROXY: '1', ARGON2_MEMORY_KIB: '128', ARGON2_TIME: '2' },
    });
    const account = app.nest.get(Account, { strict: false });
    const store = (id: string, password_hash: string) =>
      app.db.updateTable('users').set({ password_hash }).where('id', '=', id).execute();

    names['nobody'] = newName();
    names['no name'] = 'not a name!';
    names['a user'] = (await register(app)).username;
    const disabled = await register(app);
    await account.disable(disabled.id, { id: 'cli' });
    names['a disabled user'] = disabled.username;
    const deleted = await register(app);
    await account.delete(deleted.id, { id: 'cli' });
    names['a deleted user'] = deleted.username;
    names['an invited user'] = (await newInvited(app)).username;
    const weaker = await register(app);
    const hash = (await app.db.selectFrom('users').select('password_hash').executeTakeFirst())!;
    await store(weaker.id, hash.password_hash.replace('m=128,t=2', 'm=64,t=1'));
    names['a user with a weaker hash'] = weaker.username;
    const older = await register(app);
    await store(older.id, await bcrypt.hash(PASSWORD, 4));
    names['a user with a hash from elsewhere'] = older.username;
    const broken = await register(app);
    await store(broken.id, 'x');
    names['a user with a broken hash'] = broken.username;
    for (const kind of ['attempts', 'known_addresses'] as const) {
      await app.db.deleteFrom(kind).execute();
    }
  });
  afterAll(() => app.close());

  it.each([
    ['a wrong password', 'a wrong password for anyone'],
    ['no password', ''],
    ['a common password', 'password1'],
    ['a password that nobody can have', 'x'.repeat(300)],
    ['a NUL', `${PASSWORD}\0x`],
    ['spaces around it', ` ${PASSWORD} `],
    ['as much as fits', 'x'.repeat(4096)],
    ['more than is read', 'x'.repeat(4097)],
  ])('is not told by a login with %s: to the byte, header by header', (_, password) =>
    withOracle(app, async ({ call }) => {
      const answers = await Promise.all(
        Object.values(names).map(async (username) => {
          const init = from(newAddress(), form({ username, password }));
          const { status, text, headers } = await call('/token', init);
          return [status, text, ...comparable(headers)];
        }),
      );
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    }),
  );

  it('is not told by what a failed login leaves behind: each writes the same rows', async () => {
    const count = async () => {
      const of = async (table: 'audit' | 'attempts' | 'sessions' | 'known_addresses') => {
        const row = await app.db
          .selectFrom(table)
          .select(({ fn }) => fn.countAll().as('count'))
          .executeTakeFirstOrThrow();
        return Number(row.count);
      };
      return [await of('audit'), await of('attempts'), await of('sessions')];
    };
    for (const username of Object.values(names)) {
      await app.db.deleteFrom('attempts').execute();
      const before = await count();
      await call(
        app,
        '/token',
        from(newAddress(), form({ username, password: 'wrong wrong wrong' })),
      );
      const after = await count();
      expect(after.map((value, index) => value - before[index]!)).toEqual([1, 3, 0]);
    }
  });

  it('is not told to who is disabled either, by the right password', () =>
    withOracle(app, async ({ call }) => {
      const login = (password: string) =>
        call('/token', form({ username: names['a disabled user']!, password }));
      const [right, wrong] = [await login(PASSWORD), await login('wrong wrong wrong')];
      expect([right.status, right.text]).toEqual([wrong.status, wrong.text]);
      expect(comparable(right.headers)).toEqual(comparable(wrong.headers));
    }));

  it('is told by registration alone, in one word, whatever the password', () =>
    withOracle(app, async ({ call }) => {
      for (const name of ['a user', 'a disabled user', 'an invited user']) {
        const { status, body } = await call(
          '/users',
          json({ username: names[name], password: 'five new oaks' }),
        );
        expect([status, body['code']]).toEqual([409, 'username_taken']);
      }
      const again = await call(
        '/users',
        json({ username: names['a deleted user'], password: PASSWORD }),
      );
      expect(again.status).toBe(201);
    }));

  it('cannot be counted by ids: they are random', async () => {
    const ids = [await register(app), await register(app), await register(app)].map(({ id }) => id);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(ids.map((id) => id.slice(0, 8))).size).toBe(3);
  });
});

it('Who exists is not told by the work of a failed login: each computes one hash of today', async () => {
  const app = await startApp({ environment: { ARGON2_MEMORY_KIB: '65536', ARGON2_TIME: '3' } });
  const [user, disabled] = [await register(app), await register(app)];
  await app.nest.get(Account, { strict: false }).disable(disabled.id, { id: 'cli' });
  const names = [user.username, newName(), disabled.username, 'not a name!'];
  const passwords = app.nest.get(Passwords, { strict: false });
  const owner = { address: '::1', purpose: 'login' } as const;
  const hash = () => passwords.hash(owner, PASSWORD);
  const logins = names.map((username) => async () => {
    const { status } = await call(app, '/token', form({ username, password: 'wrong wrong' }));
    expect(status).toBe(401);
  });
  // Of several rounds the least: what is beyond it is of the machine.
  const least = Array<number>(5).fill(Infinity);
  for (let round = 0; round < 4; round++) {
    for (const [index, work] of [hash, ...logins].entries()) {
      least[index] = Math.min(least[index]!, await computed(work));
    }
  }
  const [one, ...each] = least as [number, ...number[]];
  for (const time of each) {
    expect(time).toBeGreaterThan(one * 0.6);
    expect(time).toBeLessThan(one * 1.6);
  }
  await app.close();
});

/** @returns milliseconds that all threads computed meanwhile, whatever else the machine did */
async function computed(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function comparable(headers: Headers): string[] {
  return [...headers]
    .filter(([name]) => name !== 'date' && name !== 'x-request-id')
    .map(([name, value]) => `${name}: ${value}`);
}
