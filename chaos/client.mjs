// What users do, over HTTP.
import { randomBytes, randomInt } from 'node:crypto';

export const PASSWORD = 'quiet river under seven moons';
export const NEW_PASSWORD = 'seven moons over a quiet river';

/** Milliseconds: longer than any answer may take. */
const PATIENCE = 15_000;

/** One request, as if from an address of its own. */
export async function call({ url }, path, { headers, ...init } = {}) {
  const response = await fetch(url + path, {
    signal: AbortSignal.timeout(PATIENCE),
    headers: { 'x-forwarded-for': newAddress(), ...headers },
    ...init,
  });
  const text = await response.text();
  return {
    status: response.status,
    text,
    body: text.startsWith('{') ? JSON.parse(text) : {},
    requestId: response.headers.get('x-request-id'),
  };
}

const newAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`;

export const json = (body, method = 'POST') => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

export const bearer = (token, { headers, ...init } = {}) => ({
  ...init,
  headers: { ...headers, authorization: `Bearer ${token}` },
});

/** Users are told from each other by random names. */
export const newName = () => `chaos-${randomBytes(6).toString('hex')}`;

export const tryRegister = (server, username = newName()) =>
  call(server, '/users', json({ username, password: PASSWORD }));

/** @returns the user */
export async function register(server) {
  const { id, username } = await mustSucceed(tryRegister(server));
  return { id, username };
}

export const tryLogin = (server, { username }, password = PASSWORD) =>
  call(server, '/token', json({ grant_type: 'password', username, password }));

/** @returns what the token endpoint gives */
export const logIn = (server, user) => mustSucceed(tryLogin(server, user));

export const refresh = (server, token) =>
  call(server, '/token', json({ grant_type: 'refresh_token', refresh_token: token }));

/** The status of a request to the protected route. */
export const guarded = async (server, token) =>
  (await call(server, '/secure-data', bearer(token))).status;

export const changePassword = (server, token) =>
  call(
    server,
    '/users/me/password',
    bearer(token, json({ current_password: PASSWORD, new_password: NEW_PASSWORD })),
  );

export const deleteAccount = (server, token) =>
  call(server, '/users/me', bearer(token, { method: 'DELETE' }));

export const disable = (server, adminToken, userId) =>
  call(server, `/admin/users/${userId}`, bearer(adminToken, json({ disabled: true }, 'PATCH')));

export const revoke = (server, token) => call(server, '/revoke', json({ token }));

export const logOut = (server, token) => call(server, '/logout', json({ refresh_token: token }));

async function mustSucceed(answering) {
  const { status, body } = await answering;
  if (status >= 300) throw new Error(`It was answered ${status} ${JSON.stringify(body)}`);
  return body;
}

/** The claims of an access token, unchecked. */
export const claimsOf = (token) =>
  JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

export const kidOf = (token) =>
  JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString()).kid;
