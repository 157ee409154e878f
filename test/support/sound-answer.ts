import type { Answer } from './client.js';

/** What was asked, as far as an answer is judged by it. */
export interface Asked {
  method: string;
  path: string;
  init?: RequestInit;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const JSON_UTF8 = 'application/json; charset=utf-8';
const text = (pattern = /^[^]*$/) => expect.stringMatching(pattern) as string;
const list = () => expect.arrayContaining([]) as unknown[];

const PROFILE = {
  id: text(UUID),
  username: text(/^.{1,64}$/u),
  roles: list(),
  created_at: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
};

/** No token: those are in the cookies. */
const BROWSER_SESSION = {
  expires_in: expect.any(Number) as number,
  refresh_expires_in: expect.any(Number) as number,
  session_expires_in: expect.any(Number) as number,
  scope: text(/^[a-z_:]+( [a-z_:]+)*$/),
};

/** The documented answers that say yes. A new one must be added here, on purpose. */
const SUCCESS: Record<string, object> = {
  'POST /token': {
    access_token: text(/^[\w-]+\.[\w-]+\.[\w-]+$/),
    token_type: 'bearer',
    expires_in: expect.any(Number) as number,
    refresh_token: text(/^lk_rt_[0-9a-f]{32}_\d+_[\w-]{43}$/),
    refresh_expires_in: expect.any(Number) as number,
    session_expires_in: expect.any(Number) as number,
    scope: text(/^[a-z_:]+( [a-z_:]+)*$/),
  },
  'POST /login': BROWSER_SESSION,
  'POST /login/refresh': BROWSER_SESSION,
  'POST /users': PROFILE,
  'GET /users/me': PROFILE,
  'GET /admin/users': expect.objectContaining({ users: list() }) as object,
  'GET /admin/audit': expect.objectContaining({ entries: list() }) as object,
  'GET /api-tokens': list(),
  'POST /api-tokens': expect.objectContaining({
    token: text(/^lk_api_\w+$/),
  }) as object,
  'GET /sessions': list(),
  'POST /revoke': {},
  'POST /introspect': expect.objectContaining({ active: expect.any(Boolean) as boolean }) as object,
  'GET /secure-data': { message: text() },
  'GET /health/live': { status: 'ok' },
  'GET /health/ready': { status: 'ok' },
  'GET /.well-known/jwks.json': { keys: list() },
  'GET /.well-known/oauth-authorization-server': expect.objectContaining({
    issuer: text(),
  }) as object,
  'GET /docs-json': expect.objectContaining({ openapi: text() }) as object,
};

const ERROR_STATUSES = [400, 401, 403, 404, 409, 413, 415, 429, 431, 503];
const ERROR_BODY = {
  error: text(/^[a-z_]+$/),
  error_description: text(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/),
  code: text(/^[a-z_]+$/),
};

/** What belongs to HTTP, to security, or to OAuth; anything else tells of what runs here. */
const HEADERS: Record<string, RegExp> = {
  'cache-control': /^no-store$|^public, max-age=\d+$/,
  'clear-site-data': /^"storage"$/,
  connection: /^(close|keep-alive)$/,
  'content-length': /^\d+$/,
  'content-security-policy': /^default-src 'none'; frame-ancestors 'none'$/,
  'content-type': /^application\/json; charset=utf-8$/,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /^same-origin$/,
  date: /GMT$/,
  'keep-alive': /^timeout=\d+$/,
  pragma: /^no-cache$/,
  'referrer-policy': /^no-referrer$/,
  'retry-after': /^[1-9]\d*$/,
  // Attributes of each: https or not.
  'set-cookie':
    /^(__Host-|__Secure-)?latchkey(_refresh)?=[\w.-]*; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax(; Secure)?$/,
  'transfer-encoding': /^chunked$/,
  'www-authenticate':
    /^(Basic|Bearer) realm="latchkey"(, error="[a-z_]+", error_description="[A-Za-z ]+"(, scope="[a-z_: ]+"|, max_age="\d+")?)?$/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'x-request-id': UUID,
};

const ALWAYS = [
  'cache-control',
  'content-security-policy',
  'cross-origin-opener-policy',
  'cross-origin-resource-policy',
  'referrer-policy',
  'x-content-type-options',
  'x-frame-options',
];

/** A stack, a path, SQL, a version, or the name of what this is built of. */
const INTERNALS =
  /node_modules|\bat \S+ \(|\.[cm]?[jt]s\b|\/(src|dist|tmp|home|root|usr|etc)\/|\b(select|insert|update|delete) .*\b(from|into|set)\b|sqlite|postgres|kysely|fastify|\bnest|express|passport|argon|\d+\.\d+\.\d+/i;
/** How Node, Fastify and the system name their errors. */
const ERROR_NAMES = /\b(FST_|ERR_|E[A-Z]{5,}\b|[A-Z]\w+Error\b)/;

/** The pages for people have a policy and types of their own; the feed is a JWT. */
const PAGES = /^\/($|docs(\/|$)|metrics$|revocations$)/;

/**
 * Holds an answer against what is true of every one: a declared status; JSON in UTF-8 of a
 * documented shape; the security headers; nothing of the server's inside, and nothing of what the
 * caller sent.
 */
export function expectSound(asked: Asked, { status, headers, body, text }: Answer<unknown>): void {
  const path = asked.path.replace(/[?#].*/s, '');
  if (PAGES.test(path) && status < 400) return;
  const where = `${asked.method} ${path} ${status}`;
  const check = (what: string, actual: unknown, expected: unknown) =>
    expect({ where, [what]: actual }).toEqual({ where, [what]: expected });

  for (const [name, value] of headers) {
    check(name, value, expect.stringMatching(HEADERS[name] ?? /^there is no such header$/));
  }
  const names = [...headers.keys()];
  check('headers', names, expect.arrayContaining(ALWAYS));

  if (asked.method === 'HEAD' || status === 204) return check('body', text, '');
  check('type', headers.get('content-type'), JSON_UTF8);
  if (status < 400) {
    check('body', body, SUCCESS[`${asked.method} ${path}`] ?? 'a documented answer');
    return;
  }
  check('status', ERROR_STATUSES.includes(status), true);
  if (status === 503 || status === 429)
    check('headers', names, expect.arrayContaining(['retry-after']));
  const { fields, ...error } = body as { fields?: Record<string, string[]> };
  check('body', error, ERROR_BODY);
  const rules = Object.values(fields ?? {}).flat();
  // Names of fields are given back, where they are plain ones; values never are.
  for (const name of Object.keys(fields ?? {})) {
    check('field', name, expect.stringMatching(/^(\w{1,64}|\(other\))(\.(\w{1,64}|\(other\)))*$/));
  }
  const said = [...Object.values(error), ...rules, ...told(headers)].join('\n');
  for (const inside of [INTERNALS, ERROR_NAMES]) {
    check('internals', said, expect.not.stringMatching(inside));
  }
  for (const value of sent(asked)) check('echo', said, expect.not.stringContaining(value));
}

function told(headers: Headers): string[] {
  const own = ['x-request-id', 'date', 'content-length'];
  return [...headers].filter(([name]) => !own.includes(name)).map(([, value]) => value);
}

/** What could be recognized in an answer: not the words that answers are made of. */
function sent({ path, init }: Asked): string[] {
  const { search, pathname } = new URL(path, 'http://x');
  const headers = new Headers(init?.headers);
  for (const name of ['content-type', 'accept', 'connection']) headers.delete(name);
  return [
    ...pathname.split('/'),
    ...new URLSearchParams(search).values(),
    ...headers.values(),
    ...leaves(init?.body).map(([, value]) => value),
  ].filter((value) => value.length >= 5 && !/^[a-z_ ]+$/.test(value));
}

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
