import type { Config } from '../../src/config/config.js';
import type { Answer } from './answer.js';

/** What was said to a service and by it, as far as it is judged by that. */
export interface Watch {
  /** Passwords, tokens and cookies that were sent or received: to be found nowhere. */
  secrets: Set<string>;
  /** What was sent as somebody's name, and may be read. */
  names: Set<string>;
  /** What a test declares to be a secret, also where a name belongs. */
  declared: Set<string>;
  /** Unknown of a service that is a process of its own. */
  config?: Config;
}

/** By its address, which is all that a test needs to ask it. */
const watches = new Map<string, Watch>();

/** Begins anew: a port is used again. */
export function watch(url: string, known: Partial<Watch> = {}): Watch {
  const nothing = {
    secrets: new Set<string>(),
    names: new Set<string>(),
    declared: new Set<string>(),
  };
  const watch = { ...nothing, ...known };
  watches.set(url, watch);
  return watch;
}

export const watchOf = (url: string): Watch => watches.get(url) ?? watch(url);

/** What must be kept of all that was said so far. */
export function secretsOf(url: string): string[] {
  const { secrets, names, declared } = watchOf(url);
  return [...[...secrets].filter((secret) => !names.has(secret)), ...declared];
}

/** Shorter ones are found by chance, and so is one character many times. */
const SECRET_LENGTH = 12;
const isSecret = (text: string): boolean => text.length >= SECRET_LENGTH && new Set(text).size > 1;

/** Notes what must be kept of one request. */
export function noteSent({ secrets, names }: Watch, { body, headers }: RequestInit): void {
  for (const [name, value] of leaves(body)) {
    if (/password|token$/.test(name)) add(secrets, value);
    if (name === 'username') names.add(value);
  }
  const sent = new Headers(headers);
  add(secrets, (sent.get('authorization') ?? '').replace(/^\w+ +/, ''));
  for (const cookie of (sent.get('cookie') ?? '').split('; ')) add(secrets, valueOf(cookie));
}

/** Notes what must be kept of one answer. */
export function noteReceived({ secrets }: Watch, { text, headers }: Answer<unknown>): void {
  if (headers.get('content-type')?.startsWith('application/json') === true) {
    for (const [name, value] of leaves(text)) {
      if (/^(access_token|refresh_token|token|one_time_password)$/.test(name)) add(secrets, value);
    }
  }
  for (const cookie of headers.getSetCookie()) add(secrets, valueOf(cookie));
}

function add(secrets: Set<string>, text: string): void {
  if (isSecret(text)) secrets.add(text);
}

const valueOf = (cookie: string): string => /=([^;]*)/.exec(cookie)?.[1] ?? '';

/** The texts in a body, by their names: of JSON, or else of a form. */
export function leaves(body: unknown): [string, string][] {
  if (body instanceof FormData) return [...body].map(([name, value]) => [name, value as string]);
  if (typeof body !== 'string') return [];
  try {
    return textsIn(JSON.parse(body), '');
  } catch {
    return [...new URLSearchParams(body)];
  }
}

function textsIn(value: unknown, name: string): [string, string][] {
  if (typeof value === 'string') return [[name, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => textsIn(inner, key));
}
