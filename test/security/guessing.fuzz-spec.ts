import { sql } from 'kysely';
import { Database } from '../../src/database/database.js';
import { unavailable } from '../../src/errors.js';
import { Passwords } from '../../src/passwords/passwords.js';
import { Throttle } from '../../src/throttle/throttle.js';
import { AccessTokens } from '../../src/tokens/access-tokens.js';
import { Account } from '../../src/users/account.js';
import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import {
  type Answer,
  bearer,
  call,
  form,
  json,
  logIn,
  newLogin,
  newName,
  openSession,
  PASSWORD,
  refresh,
  register,
} from '../support/client.js';
import { DATABASES } from '../support/databases.js';
import { type Watched, withOracle } from '../support/oracle.js';
import { until } from '../support/until.js';

/** What one name is allowed from one address, one address, and one name from everywhere. */
const PAIR = 30;
const ADDRESS = 300;
const ACCOUNT = 100;
/** Seconds. */
const WINDOW = 900;
const DAY = 86_400;

const WRONG = 'a wrong password for anyone';
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Statuses as one sees them in a row: `30 x 401, 2 x 429`. */
function inARow(answers: readonly Answer[]): string {
  const runs: { status: number; length: number }[] = [];
  for (const { status } of answers) {
    const last = runs.at(-1);
    if (last?.status === status) last.length++;
    else runs.push({ status, length: 1 });
  }
  return runs.map(({ status, length }) => `${length} x ${status}`).join(', ');
}

/** Many at a time, since each of them waits for the disk. */
async function inTens(count: number, make: (index: number) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (answers.length < count) {
    const next = Math.min(10, count - answers.length);
    answers.push(...(await Promise.all(times(next, (index) => make(answers.length + index)))));
  }
  return answers;
}

const oneByOne = async (count: number, make: (index: number) => Promise<Answer>) => {
  const answers: Answer[] = [];
  for (let index = 0; index < count; index++) answers.push(await make(index));
  return answers;
};

describe.each(DATABASES)('Guessing, on %s', (database) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ database, environment: { TRUST_PROXY: '1' } });
  });
  afterAll(() => app.close());

  const watch = (work: (guess: Guess, watched: Watched) => Promise<void>) =>
    withOracle(app, (watched) =>
      work(
        (username, address, password = WRONG) =>
          watched.call('/token', from(address, form({ username, password }))),
        watched,
      ),
    );

  it('of one name from one address is over after 30 wrong passwords, for whole seconds', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const address = newAddress();
      const answers = await oneByOne(PAIR + 2, () => guess(username, address));
      expect(inARow(answers)).toBe('30 x 401, 2 x 429');
      const refused = answers.at(-1)!;
      expect(refused.body).toMatchObject({ error: 'too_many_requests', code: 'too_many_attempts' });
      expect(refused.headers.get('retry-after')).toBe(String(WINDOW));
      expect((await guess(username, address, password)).status).toBe(429);
      expect((await guess(username, newAddress(), password)).status).toBe(200);
    }));

  it('never gets more than 30 answers, however many come at once', () =>
    watch(async (guess) => {
      const { username } = await register(app);
      const address = newAddress();
      const answers = await Promise.all(times(60, () => guess(username, address)));
      expect(inARow(answers.sort((a, b) => a.status - b.status))).toBe('30 x 401, 30 x 429');
    }));

  it('of one name from everywhere is over after 100, but not for who comes from a known address', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const home = newAddress();
      expect((await guess(username, home, password)).status).toBe(200);
      // The success gave the count back, so that a whole hundred follows.
      expect(inARow(await inTens(ACCOUNT, () => guess(username, newAddress())))).toBe('100 x 401');
      expect((await guess(username, newAddress())).status).toBe(429);
      expect((await guess(username, newAddress(), password)).status).toBe(429);
      expect((await guess(username, home)).status).toBe(401);
      expect((await guess(username, home, password)).status).toBe(200);
    }));

  /** As a hundred wrong passwords from elsewhere do, of which it is one. */
  const useUp = async (username: string) => {
    const { status } = await call(
      app,
      '/token',
      from(newAddress(), form({ username, password: WRONG })),
    );
    expect(status).toBe(401);
    await app.db
      .updateTable('attempts')
      .set({ count: ACCOUNT })
      .where('key', 'like', 'account:%')
      .where('count', '>', 0) // not of those who logged in
      .execute();
  };

  it('does not shut the owner out: 100 of 100 logins succeed while 50 addresses are refused', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const home = newAddress();
      expect((await guess(username, home, password)).status).toBe(200);
      const addresses = times(50, newAddress);
      const answers = await oneByOne(200, async (index) => {
        if (index % 2 === 1) return guess(username, home, password);
        await useUp(username); // each success of the owner gives it back
        return guess(username, addresses[(index / 2) % 50]!);
      });
      const [refused, owner] = [0, 1].map((rest) => answers.filter((_, i) => i % 2 === rest));
      expect([inARow(refused!), inARow(owner!)]).toEqual(['100 x 429', '100 x 200']);
    }));

  /** At the door of browsers, which have their refresh token in a cookie. */
  const inBrowser = (login: object, address: string, refreshToken = '') => {
    const init = json(login);
    const page = { 'sec-fetch-site': 'same-origin', cookie: `latchkey_refresh=${refreshToken}` };
    return from(address, { ...init, headers: { ...init.headers, ...page } });
  };

  it('of one name from one address has one count, at whichever door', () =>
    watch(async (guess, { call: ask }) => {
      const { username } = await register(app);
      const address = newAddress();
      const atLogin = () => ask('/login', inBrowser({ username, password: WRONG }, address));
      const answers = await oneByOne(PAIR, (index) =>
        index % 2 === 0 ? atLogin() : guess(username, address),
      );
      expect(inARow(answers)).toBe('30 x 401');
      for (const refused of [await atLogin(), await guess(username, address)]) {
        expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, String(WINDOW)]);
      }
    }));

  it('lets in an owner who comes from elsewhere with a refresh token, the current one of theirs', () =>
    watch(async (guess, { call: ask }) => {
      const user = await register(app);
      const rotated = (await openSession(app, user)).refresh_token;
      const current = (await refresh(app, rotated)).body.refresh_token;
      const ended = (await openSession(app, user)).refresh_token;
      await call(app, '/logout', form({ refresh_token: ended }));
      const foreign = (await openSession(app, await register(app))).refresh_token;
      const { username, password } = user;
      const byToken = (refresh_token: string, tried = password) => {
        const fields = { grant_type: 'password', username, password: tried, refresh_token };
        return ask('/token', from(newAddress(), form(fields)));
      };
      const byCookie = (token: string) =>
        ask('/login', inBrowser({ username, password }, newAddress(), token));

      expect(inARow(await inTens(ACCOUNT, () => guess(username, newAddress())))).toBe('100 x 401');
      for (const token of [foreign, rotated, ended, `${current}x`, '']) {
        expect([(await byToken(token)).status, (await byCookie(token)).status]).toEqual([429, 429]);
      }
      expect((await byToken(current, WRONG)).status).toBe(401);
      expect((await byToken(current)).status).toBe(200);
      await useUp(username);
      expect((await guess(username, newAddress())).status).toBe(429);
      expect((await byCookie(current)).status).toBe(200);
    }));

  it('knows twenty addresses of a user: one more pushes out the oldest', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const homes = times(21, newAddress);
      for (const home of homes) {
        expect((await guess(username, home, password)).status).toBe(200);
        app.clock.advance(1);
      }
      await useUp(username);
      const answers = await oneByOne(homes.length, (index) => guess(username, homes[index]!));
      expect(inARow(answers)).toBe('1 x 429, 20 x 401');
    }));

  it('of many names from one address, at whichever door, is over after 300', () =>
    watch(async (guess, { call: ask }) => {
      const own = await register(app);
      // The other half of an IPv6 address is anybody's to choose.
      const network = newAddress().replace(/::1$/, '');
      const address = (index: number) => `${network}::${index.toString(16)}`;
      const take = (index: number) =>
        ask('/users', from(address(index), json({ username: own.username, password: PASSWORD })));
      const guesses = await inTens(ADDRESS - 20, (index) => guess(newName(), address(index)));
      expect(inARow(guesses)).toBe('280 x 401');
      expect(inARow(await inTens(19, take))).toBe('19 x 409');
      // An account of one's own gives back the attempt that it took, and no other.
      expect((await guess(own.username, address(1), own.password)).status).toBe(200);
      expect((await guess(newName(), address(2))).status).toBe(401);
      expect((await guess(newName(), address(3))).status).toBe(429);
      expect((await take(4)).status).toBe(429);
      expect((await guess(newName(), newAddress())).status).toBe(401);
    }));

  it('goes by the canonical name: all its spellings share one count', () =>
    watch(async (guess) => {
      const { username } = await register(app);
      const wide = username.replace('user', 'ｕｓｅｒ');
      const spellings = [username, username.toUpperCase(), wide];
      const address = newAddress();
      const answers = await oneByOne(PAIR + 1, (index) => guess(spellings[index % 3]!, address));
      expect(inARow(answers)).toBe('30 x 401, 1 x 429');
    }));

  it('is answered alike, to the last, for a known, a disabled and an unknown name, and no name', () =>
    watch(async (guess) => {
      const disabled = await register(app);
      await app.nest.get(Account, { strict: false }).disable(disabled.id, { id: 'cli' });
      const names = [(await register(app)).username, disabled.username, newName(), 'no name!'];
      const sequences = await Promise.all(
        names.map(async (name) => {
          const address = newAddress();
          return (await oneByOne(PAIR + 1, () => guess(name, address))).map(
            ({ status, text, headers }) => [status, text, ...comparable(headers)],
          );
        }),
      );
      for (const sequence of sequences) expect(sequence).toEqual(sequences[0]);
    }));

  it('begins anew after a success', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const address = newAddress();
      await oneByOne(PAIR - 1, () => guess(username, address));
      expect((await guess(username, address, password)).status).toBe(200);
      const answers = await oneByOne(PAIR + 1, () => guess(username, address));
      expect(inARow(answers)).toBe('30 x 401, 1 x 429');
    }));

  it('knows an address for 90 days from the last login there, to a day', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const home = newAddress();
      const isKnown = async () => {
        await inTens(ACCOUNT, () => guess(username, newAddress()));
        return (await guess(username, home)).status === 401;
      };
      expect((await guess(username, home, password)).status).toBe(200);
      await app.advance(2 * DAY);
      expect((await guess(username, home, password)).status).toBe(200);
      await app.advance(89 * DAY);
      expect(await isKnown()).toBe(true);
      await app.advance(2 * DAY);
      expect(await isKnown()).toBe(false);
      await app.advance(-93 * DAY);
    }));

  it('leaves those who are logged in alone', () =>
    watch(async (guess, { call: ask }) => {
      const user = await newLogin(app);
      const address = newAddress();
      await oneByOne(PAIR + 1, () => guess(user.username, address));
      const answer = await ask('/users/me', from(address, bearer(user.token)));
      expect(answer.status).toBe(200);
    }));

  it('of the current password, to change it, is the same guessing', () =>
    watch(async (guess, { call: ask }) => {
      const user = await newLogin(app);
      const address = newAddress();
      const change = (current_password: string) =>
        ask(
          '/users/me/password',
          from(
            address,
            bearer(user.token, json({ current_password, new_password: 'five new oaks' })),
          ),
        );
      expect(inARow(await oneByOne(PAIR, () => change(WRONG)))).toBe('30 x 401');
      expect((await change(user.password)).status).toBe(429);
      expect((await guess(user.username, address, user.password)).status).toBe(429);
      expect((await guess(user.username, newAddress(), user.password)).status).toBe(200);
    }));

  describe('and a clock that is moved', () => {
    const spent = async (guess: Guess): Promise<[string, string]> => {
      const { username } = await register(app);
      const address = newAddress();
      await oneByOne(PAIR, () => guess(username, address));
      expect((await guess(username, address)).status).toBe(429);
      return [username, address];
    };

    it('forwards ends the window when it is over, not before', () =>
      watch(async (guess) => {
        const [username, address] = await spent(guess);
        await app.advance(WINDOW - 1);
        const last = await guess(username, address);
        expect([last.status, last.headers.get('retry-after')]).toEqual([429, '1']);
        await app.advance(1);
        expect((await guess(username, address)).status).toBe(401);
      }));

    it('backwards an hour shuts nobody out for an hour', () =>
      watch(async (guess) => {
        const [username, address] = await spent(guess);
        await app.advance(-3600);
        const answers = await oneByOne(PAIR + 1, () => guess(username, address));
        expect(inARow(answers)).toBe('30 x 401, 1 x 429');
        expect(Number(answers.at(-1)!.headers.get('retry-after'))).toBeLessThanOrEqual(WINDOW);
        await app.advance(3600);
      }));
  });

  it('leaves neither names nor addresses readable in what is counted', () =>
    watch(async (guess) => {
      const { username, password } = await register(app);
      const address = newAddress();
      await guess(username, address);
      await guess(username, address, password);
      const counted = [
        ...(await app.db.selectFrom('attempts').selectAll().execute()),
        ...(await app.db.selectFrom('known_addresses').selectAll().execute()),
      ];
      expect(counted.length).toBeGreaterThan(0);
      const text = JSON.stringify(counted);
      expect(text).not.toContain(username);
      expect(text).not.toContain(address.replace(/::1$/, ''));
    }));
});

describe('The address that counts', () => {
  const hammer = async (environment: Record<string, string>, forwarded: (n: number) => string) => {
    const app = await startApp({ environment });
    const { username } = await register(app);
    const answers = await oneByOne(PAIR + 1, (index) =>
      call(app, '/token', from(forwarded(index), form({ username, password: WRONG }))),
    );
    await app.close();
    return inARow(answers);
  };

  it('is the connection’s own, whatever a client claims, where no proxy is trusted', async () => {
    expect(await hammer({}, (index) => `198.51.100.${index}`)).toBe('30 x 401, 1 x 429');
  });

  it('is the right-most one where one proxy is trusted: what stands left of it is a claim', async () => {
    const claims = (index: number) => `198.51.100.${index}, 203.0.113.9`;
    expect(await hammer({ TRUST_PROXY: '1' }, claims)).toBe('30 x 401, 1 x 429');
  });

  it('is one for IPv4 and the same address mapped into IPv6', async () => {
    const either = (index: number) => (index % 2 ? '::ffff:203.0.113.9' : '203.0.113.9');
    expect(await hammer({ TRUST_PROXY: '1' }, either)).toBe('30 x 401, 1 x 429');
  });

  it.each(['203.0.113.9', '[2001:db8::9]'])(
    'is %s whatever port the proxy writes behind it',
    async (address) => {
      const ports = (index: number) => `${address}:${40_000 + index}`;
      expect(await hammer({ TRUST_PROXY: '1' }, ports)).toBe('30 x 401, 1 x 429');
    },
  );

  it('is one for all that the proxy writes which is none', async () => {
    const hidden = (index: number) => `_hidden${index}`;
    expect(await hammer({ TRUST_PROXY: '1' }, hidden)).toBe('30 x 401, 1 x 429');
  });
});

it('A right password is no attempt while no token can be made, nor is the change of one', async () => {
  const app = await startApp({ environment: { METRICS: 'open' } });
  const user = await newLogin(app);
  const away = () => {
    throw unavailable('state_stale', 1);
  };
  const tokens = app.nest.get(AccessTokens, { strict: false });
  const passwords = app.nest.get(Passwords, { strict: false });
  const { lifetime } = tokens;
  const { hash } = passwords;
  Object.assign(tokens, { lifetime: away });
  Object.assign(passwords, { hash: away });
  expect((await call(app, '/token', form({ ...user }))).status).toBe(503);
  const change = json({ current_password: PASSWORD, new_password: 'another river, another moon' });
  expect((await call(app, '/users/me/password', bearer(user.token, change))).status).toBe(503);
  const counts = await app.db.selectFrom('attempts').select('count').execute();
  expect(counts.map(({ count }) => count)).toEqual([0, 0, 0]);
  expect((await call(app, '/metrics')).text).toMatch(/_logins_total{outcome="unavailable"} [1-9]/);
  Object.assign(tokens, { lifetime });
  Object.assign(passwords, { hash });
  await logIn(app, user);
  await app.close();
});

it('An attempt that was none is given back as soon as the database can', async () => {
  const app = await startApp();
  const user = await newLogin(app);
  const tokens = app.nest.get(AccessTokens, { strict: false });
  const db = app.nest.get(Database, { strict: false });
  const { lifetime } = tokens;
  const away = () => {
    throw unavailable('database_unavailable', 1);
  };
  Object.assign(tokens, { lifetime: away });
  Object.assign(db, { executeQuery: away }); // what runs outside of transactions
  expect((await call(app, '/token', form({ ...user }))).status).toBe(503);
  const counts = async () => {
    const rows = await app.db.selectFrom('attempts').select('count').execute();
    return rows.map(({ count }) => count).join();
  };
  expect(await counts()).toBe('1,1,1');
  Reflect.deleteProperty(db, 'executeQuery'); // of the object, not of the class
  await until(counts, '0,0,0', 5000);
  Object.assign(tokens, { lifetime });
  await app.close();
});

it('Attempts that were none are given back, many of few accounts at once', async () => {
  const app = await startApp({ database: 'postgres' });
  const throttle = app.nest.get(Throttle, { strict: false });
  const away = () => Promise.reject(unavailable('busy', 2));
  const one = async (index: number) => {
    const [account, address] = [`account-${index % 3}`, `203.0.113.${index % 2}`];
    for (let count = 0; count < 20; count++) {
      await expect(throttle.attempt({ account, address }, away)).rejects.toThrow();
    }
  };
  await Promise.all(times(20, one));
  const { rows } = await sql<{ deadlocks: number }>`
    select deadlocks from pg_stat_database where datname = current_database()
  `.execute(app.db);
  expect(rows).toEqual([{ deadlocks: 0 }]);
  const counts = await app.db.selectFrom('attempts').select('count').execute();
  expect(counts.map(({ count }) => count)).toEqual(times(3 + 2 + 6, () => 0));
  await app.close();
});

type Guess = (username: string, address: string, password?: string) => Promise<Answer>;

function comparable(headers: Headers): string[] {
  return [...headers]
    .filter(([name]) => name !== 'date' && name !== 'x-request-id')
    .map(([name, value]) => `${name}: ${value}`);
}
