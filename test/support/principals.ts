import type { Role } from '../../src/roles.js';
import { Account } from '../../src/users/account.js';
import { Registration } from '../../src/users/registration.js';
import type { TestApp } from './app.js';
import {
  bearer,
  call,
  json,
  logIn,
  newLogin,
  newName,
  openSession,
  PASSWORD,
  register,
} from './client.js';
import { parts, resign } from './tokens.js';

const OPERATOR = { id: 'cli' };

/** An administrator, logged in. */
export const newAdmin = (app: TestApp) => newUserOf(app, 'admin');

/** A user of a role, logged in. */
export async function newUserOf(
  app: TestApp,
  role: Role,
): Promise<{ id: string; username: string; token: string }> {
  const { id, username } = await app.nest
    .get(Registration, { strict: false })
    .create({ username: newName(), password: PASSWORD, roles: [role] }, OPERATOR);
  return { id, username, token: await logIn(app, { username, password: PASSWORD }) };
}

/** Somebody whose password was made for them, logged in: the token opens only the change of it. */
export async function newInvited(
  app: TestApp,
): Promise<{ id: string; username: string; password: string; token: string }> {
  const registration = app.nest.get(Registration, { strict: false });
  const { user, password } = await registration.invite(newName(), ['user'], OPERATOR);
  const { id, username } = user;
  return { id, username, password, token: await logIn(app, { username, password }) };
}

/** Each kind of caller there is, by the token of a new one; undefined for none. */
export const CALLERS: Record<string, (app: TestApp) => Promise<string | undefined>> = {
  anonymous: () => Promise.resolve(undefined),
  user: async (app) => (await newLogin(app)).token,
  admin: async (app) => (await newAdmin(app)).token,
  'disabled user': async (app) => {
    const { id, token } = await newLogin(app);
    await app.nest.get(Account, { strict: false }).disable(id, OPERATOR);
    return token;
  },
  'deleted user': async (app) => {
    const { id, token } = await newLogin(app);
    await app.nest.get(Account, { strict: false }).delete(id, OPERATOR);
    return token;
  },
  'user whose roles changed': async (app) => {
    const { id, token } = await newLogin(app);
    await app.nest.get(Account, { strict: false }).setRoles(id, ['admin'], OPERATOR);
    return token;
  },
  'expired token': async (app) => {
    const { header, claims } = parts((await newLogin(app)).token);
    const now = app.clock.seconds();
    return resign(app, header, { ...claims, iat: now - 1800, exp: now - 60 });
  },
  'API token': async (app) => newApiToken(app, (await newLogin(app)).token),
  'invited user': async (app) => (await newInvited(app)).token,
  'refresh token': async (app) => (await openSession(app, await register(app))).refresh_token,
  'API token of an admin': async (app) => newApiToken(app, (await newAdmin(app)).token),
  'API token without scopes': async (app) =>
    newApiToken(app, (await newLogin(app)).token, { scopes: [] }),
  service: async (app) => (await newUserOf(app, 'service')).token,
};

/** With all that its owner may, unless told otherwise. */
async function newApiToken(app: TestApp, token: string, fields: object = {}): Promise<string> {
  const { body } = await call<{ token: string }>(
    app,
    '/api-tokens',
    bearer(token, json({ name: 'any', ...fields })),
  );
  return body.token;
}
