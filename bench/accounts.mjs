// The users of the benchmark, and their logins, over HTTP as anybody's.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directory } from './processes.mjs';

const PASSWORD = 'quiet river under seven moons';
/**
 * Enough that no account is tried often, which would be taken for guessing, and that none has
 * more sessions open than people have.
 */
const COUNT = 200;

/** Registers the users. @returns their names and passwords, and the file they are in */
export async function accounts({ url }) {
  const list = Array.from({ length: COUNT }, (_, index) => [`bench-${index}`, PASSWORD]);
  for (const [username, password] of list) {
    await post(`${url}/users`, JSON.stringify({ username, password }), 'application/json');
  }
  const file = join(directory, 'users.json');
  writeFileSync(file, JSON.stringify(list));
  return { list, file };
}

/** Opens as many sessions. @returns their refresh tokens */
export async function refreshTokens({ url }, { list }, count) {
  const tokens = [];
  for (let index = 0; index < count; index++) {
    const [username, password] = list[index % list.length];
    const form = new URLSearchParams({ username, password }).toString();
    const answer = await post(`${url}/token`, form, 'application/x-www-form-urlencoded');
    tokens.push(answer.refresh_token);
  }
  return tokens;
}

/** Logs in, behind every login that the server still works on. */
export async function oneToken({ url }, { list: [[username, password]] }) {
  const form = new URLSearchParams({ username, password }).toString();
  const answer = await post(`${url}/token`, form, 'application/x-www-form-urlencoded');
  return answer.access_token;
}

/** Makes an API token for the user of an access token. */
export async function apiToken({ url }, token) {
  const body = JSON.stringify({ name: 'bench' });
  return (await post(`${url}/api-tokens`, body, 'application/json', token)).token;
}

async function post(url, body, type, token) {
  const headers = { 'content-type': type, ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { method: 'POST', body, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${url} was answered ${response.status} ${text}`);
  return JSON.parse(text);
}
