import { randomBytes } from 'node:crypto';
import type { Answer } from './answer.js';
import { whileInFlight } from './in-flight.js';
import { expectSound } from './sound-answer.js';
import { noteReceived, noteSent, watchOf } from './watch.js';

export const PASSWORD = 'quiet river under seven moons';

export type { Answer };

/** Whatever listens at an address: an application of the test, or a process. */
type Service = { url: string };

/**
 * One request to the service: its answer is held against the contract of every answer, and its
 * secrets are noted, to be searched for when the service is closed.
 */
export async function call<Body = Record<string, unknown>>(
  { url }: Service,
  path: string,
  init: RequestInit = {},
): Promise<Answer<Body>> {
  const watch = watchOf(url);
  noteSent(watch, init);
  const answer = await send<Body>({ url }, path, init);
  noteReceived(watch, answer);
  expectSound({ method: init.method ?? 'GET', path, init }, answer, watch);
  return answer;
}

/** One request that nothing is expected of: to another service, or to what is broken on purpose. */
export async function send<Body = Record<string, unknown>>(
  { url }: Service,
  path: string,
  init: RequestInit = {},
): Promise<Answer<Body>> {
  const [response, text] = await whileInFlight(async () => {
    const response = await fetch(url + path, { redirect: 'manual', ...init });
    return [response, await response.text()] as const;
  });
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  const body = (isJson && text !== '' ? JSON.parse(text) : {}) as Body;
  return { status: response.status, headers: response.headers, body, text };
}

export function json(body: unknown, method = 'POST'): RequestInit {
  return {
    method,
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

export function form(fields: Record<string, string> | string): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: typeof fields === 'string' ? fields : new URLSearchParams(fields).toString(),
  };
}

export function bearer(token: string, init: RequestInit = {}): RequestInit {
  return { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } };
}

export interface TokenBody {
  access_token: string;
  token_type: string;
  expires_in: number;
  refresh_token: string;
  refresh_expires_in: number;
  session_expires_in: number;
  scope: string;
}

export const newName = (): string => `user-${randomBytes(5).toString('hex')}`;

/** Registers a user of a name of its own. */
export async function register(
  app: Service,
  username = newName(),
  password = PASSWORD,
): Promise<{ id: string; username: string; password: string }> {
  const { status, body, text } = await call<{ id: string }>(
    app,
    '/users',
    json({ username, password }),
  );
  if (status !== 201) throw new Error(`Could not register: ${status} ${text}`);
  return { id: body.id, username, password };
}

/** Logs in as a user that exists. @returns the whole answer of the token endpoint */
export async function openSession(
  app: Service,
  { username, password }: { username: string; password: string },
): Promise<TokenBody> {
  const { status, body, text } = await call<TokenBody>(app, '/token', form({ username, password }));
  if (status !== 200) throw new Error(`Could not log in: ${status} ${text}`);
  return body;
}

/** Logs in as a user that exists. @returns the access token */
export async function logIn(
  app: Service,
  user: { username: string; password: string },
): Promise<string> {
  return (await openSession(app, user)).access_token;
}

/** Presents a refresh token at the token endpoint. */
export function refresh(
  app: Service,
  refreshToken: string,
  fields: Record<string, string> = {},
): Promise<Answer<TokenBody & { error?: string; code?: string }>> {
  return call(
    app,
    '/token',
    form({ grant_type: 'refresh_token', refresh_token: refreshToken, ...fields }),
  );
}

/** A new user, logged in. */
export async function newLogin(
  app: Service,
): Promise<{ id: string; username: string; password: string; token: string }> {
  const user = await register(app);
  return { ...user, token: await logIn(app, user) };
}
