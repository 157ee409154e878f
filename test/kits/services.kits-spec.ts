import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { bearer, call, form, PASSWORD, register, send, type TokenBody } from '../support/client.js';
import { connect } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { serverEnvironment, type ServerProcess, startServer } from '../support/process.js';
import { encode, parts } from '../support/tokens.js';
import { until } from '../support/until.js';
import {
  AUDIENCE,
  freePort,
  type KitService,
  LANGUAGES,
  OTHER_AUDIENCE,
  startKit,
} from './kit-service.js';

/** Milliseconds until a service knows what Latchkey was told, at the latest. */
const SOON = 3_000;

describe.each(LANGUAGES)('A %s service beside a real Latchkey', (language) => {
  let settings: Record<string, string>;
  let server: ServerProcess;
  let service: KitService;

  beforeAll(async () => {
    const port = await freePort();
    settings = {
      ...serverEnvironment(await newDatabase('sqlite')),
      ISSUER: `http://127.0.0.1:${port}`,
      AUDIENCES: `${AUDIENCE},${OTHER_AUDIENCE}`,
    };
    server = await startServer({ ...settings, PORT: String(port) });
    service = await startKit(language, settings['ISSUER']!);
  });

  const cli = (...command: string[]) =>
    promisify(execFile)(process.execPath, [resolve('dist/cli.js'), ...command], {
      cwd: tmpdir(),
      env: { PATH: process.env['PATH'], NODE_ENV: 'test', ...settings },
    });

  async function logIn(username: string, resource?: string, at = server): Promise<TokenBody> {
    const fields = { username, password: PASSWORD, ...(resource !== undefined && { resource }) };
    const { status, body, text } = await call<TokenBody>(at, '/token', form(fields));
    if (status !== 200) throw new Error(`Could not log in: ${status} ${text}`);
    return body;
  }

  /** A new user with a token that the service takes. */
  async function newcomer(): Promise<TokenBody & { username: string }> {
    const { username } = await register(server);
    const session = await logIn(username, AUDIENCE);
    expect(await service.status(session.access_token)).toBe(200);
    return { username, ...session };
  }

  const kid = (token: string) => parts(token).header['kid'];

  it('answers the user of a valid token by name', async () => {
    const { username } = await register(server);
    const { access_token } = await logIn(username, AUDIENCE);
    const { status, body } = await service.answer(access_token);
    expect([status, body.user]).toEqual([200, username]);
  });

  it.each([
    ['no header', {}],
    ['another scheme', { authorization: 'Basic eDp5' }],
  ])('asks for a token where there is none: %s', async (_name, headers) => {
    const { status, headers: answered } = await send(service, '/orders', { headers });
    expect([status, answered.get('www-authenticate')]).toEqual([401, 'Bearer']);
  });

  it.each([
    ['one letter', 'x'],
    ['three segments of nothing', '..'],
    ['three segments of no JSON', 'a.b.c'],
    ['a header of lists in lists', `${encode('['.repeat(3_000))}.e30.x`],
    ['no algorithm', 'eyJhbGciOiJub25lIn0.e30.'],
    ['a quote', '"'],
    ['two tokens', 'a.b.c d.e.f'],
    ['a long one', 'x'.repeat(5_000)],
  ])('refuses what is no token, as RFC 6750 says: %s', async (_name, token) => {
    const { status, headers } = await service.answer(token);
    expect([status, headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer error="invalid_token"',
    ]);
  });

  it('refuses a token for Latchkey itself, and one for another service', async () => {
    const { username } = await register(server);
    for (const resource of [undefined, OTHER_AUDIENCE]) {
      const { access_token } = await logIn(username, resource);
      expect(await service.status(access_token)).toBe(401);
    }
  });

  it('refuses a token that has expired, after five seconds of leeway', async () => {
    const { username } = await register(server);
    const brief = await startServer({ ...settings, ACCESS_TOKEN_TTL: '1s' });
    const { access_token } = await logIn(username, AUDIENCE, brief);
    const { exp } = parts(access_token).claims as { exp: number };
    expect(await service.status(access_token)).toBe(200);
    await until(() => service.status(access_token), 401, 9_000);
    expect(Date.now() / 1000).toBeGreaterThanOrEqual(exp + 5);
    await brief.kill();
  });

  it('refuses the tokens of a session soon after its end, and no others', async () => {
    const alice = await newcomer();
    const other = await logIn(alice.username, AUDIENCE);
    const { status } = await call(server, '/logout', form({ refresh_token: alice.refresh_token }));
    expect(status).toBe(204);
    await until(() => service.status(alice.access_token), 401, SOON);
    expect(await service.status(other.access_token)).toBe(200);
  });

  it('refuses a token soon after it was revoked by itself, and not its successor', async () => {
    const { access_token: token, refresh_token } = await newcomer();
    expect((await call(server, '/revoke', form({ token }))).status).toBe(200);
    await until(() => service.status(token), 401, SOON);
    const { body } = await call<TokenBody>(
      server,
      '/token',
      form({ grant_type: 'refresh_token', refresh_token, resource: AUDIENCE }),
    );
    expect(await service.status(body.access_token)).toBe(200);
  });

  it('refuses the tokens of a user soon after they were disabled, and nobody else’s', async () => {
    const [mallory, alice] = [await newcomer(), await newcomer()];
    await cli('users', 'disable', mallory.username);
    await until(() => service.status(mallory.access_token), 401, SOON);
    expect(await service.status(alice.access_token)).toBe(200);
    await cli('users', 'enable', mallory.username);
    const again = await logIn(mallory.username, AUDIENCE);
    await until(() => service.status(again.access_token), 200, SOON);
    expect(await service.status(mallory.access_token)).toBe(401);
  });

  it('refuses the tokens of an account soon after it was deleted', async () => {
    const bob = await newcomer();
    const { access_token } = await logIn(bob.username);
    await call(server, '/users/me', bearer(access_token, { method: 'DELETE' }));
    await until(() => service.status(bob.access_token), 401, SOON);
  });

  it('takes tokens of before and after a rotation of keys', async () => {
    const before = await newcomer();
    await cli('keys', 'rotate');
    // The quarter of an hour that every service has to fetch the next key is over.
    const db = connect(settings['DATABASE_URL']!);
    await db
      .updateTable('signing_keys')
      .set({ activate_at: Date.now() })
      .where('activate_at', '>', Date.now())
      .execute();
    const logInAgain = async () => kid((await logIn(before.username, AUDIENCE)).access_token);
    await until(async () => (await logInAgain()) !== kid(before.access_token), true, SOON);
    const after = await newcomer();
    for (const { access_token } of [before, after]) {
      expect(await service.status(access_token)).toBe(200);
    }
  });

  it.each([
    ['its successor known', ['--compromised']],
    ['its successor never seen before', ['--compromised', '--all']],
  ])('refuses the tokens of a withdrawn key soon, and takes the next: %s', async (_name, how) => {
    const lost = await newcomer();
    await cli('keys', 'rotate', ...how);
    await until(() => service.status(lost.access_token), 401, SOON);
    const next = await logIn(lost.username, AUDIENCE);
    expect(kid(next.access_token)).not.toBe(kid(lost.access_token));
    await until(() => service.status(next.access_token), 200, SOON);
  });

  // The last one: afterwards there is no Latchkey.
  it('goes on without Latchkey for a while, and a restarted service trusts nobody', async () => {
    const { access_token } = await newcomer();
    await server.kill();
    expect(await service.status(access_token)).toBe(200);
    const restarted = await startKit(language, settings['ISSUER']!);
    expect(await restarted.status(access_token)).toBe(503);
  });
});
