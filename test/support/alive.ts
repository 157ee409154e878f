import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registration } from '../../src/users/registration.js';
import { from, newAddress } from './addresses.js';
import { bearer, call, json, newName, PASSWORD } from './client.js';

/** Milliseconds. */
const LIVE_WITHIN = 1000;

interface Living {
  url: string;
  nest: NestFastifyApplication;
}

const controls = new WeakMap<Living, string>();

/** Answers at once, and a user who has nothing to do with it logs in and reads the profile. */
export async function expectAlive(app: Living): Promise<void> {
  const startedAt = performance.now();
  expect((await call(app, '/health/live')).status).toBe(200);
  expect(performance.now() - startedAt).toBeLessThan(LIVE_WITHIN);
  const username = controls.get(app) ?? (await newControl(app));
  controls.set(app, username);
  const token = await logIn(app, username);
  expect((await call(app, '/users/me', bearer(token))).status).toBe(200);
}

/** The first time, `fetch` and the server are still being compiled. */
export async function warmUp(app: Living): Promise<void> {
  if (!controls.has(app)) await expectAlive(app);
}

/** Not by the route, which may be closed. */
async function newControl(app: Living): Promise<string> {
  const registration = app.nest.get(Registration, { strict: false });
  const control = { username: newName(), password: PASSWORD, roles: ['user' as const] };
  return (await registration.create(control, { id: 'cli' })).username;
}

/** By the door that is never closed, from an address that has tried nothing, where one can say so. */
async function logIn(app: Living, username: string): Promise<string> {
  const login = json({ username, password: PASSWORD });
  const headers = { ...login.headers, 'sec-fetch-site': 'same-origin' };
  const answer = await call(app, '/login', from(newAddress(), { ...login, headers }));
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  const [, token = ''] = /latchkey=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '') ?? [];
  return token;
}
