import type { Answer } from './answer.js';
import { leaves, type Watch } from './watch.js';

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

const ADMIN_PROFILE = { ...PROFILE, disabled: expect.any(Boolean) as boolean };

/** Without what is of a refresh token: who must choose a password first gets none. */
const SESSION = {
  expires_in: expect.any(Number) as number,
  scope: text(/^([a-z_:]+( [a-z_:]+)*)?$/),
};
const REFRESHABLE = {
  refresh_expires_in: expect.any(Number) as number,
  session_expires_in: expect.any(Number) as number,
};
const ACCESS = { ...SESSION, access_token: text(/^[\w-]+\.[\w-]+\.[\w-]+$/), token_type: 'bearer' };
const REFRESH = { ...REFRESHABLE, refresh_token: text(/^lk_rt_[0-9a-f]{32}_\d+_[\w-]{43}$/) };

/** The documented answers of Latchkey that say yes, in each of their forms. */
const SUCCESS: Record<string, object> = {
  'POST /token': [{ ...ACCESS, ...REFRESH }, ACCESS],
  // No token: those are in the cookies.
  'POST /login': [{ ...SESSION, ...REFRESHABLE }, SESSION],
  'POST /login/refresh': { ...SESSION, ...REFRESHABLE },
  'POST /users': PROFILE,
  'GET /users/me': PROFILE,
  'POST /users/me/password': { api_tokens: list() },
  'GET /admin/users': expect.objectContaining({ users: list() }) as object,
  'POST /admin/users': [{ ...ADMIN_PROFILE, one_time_password: text() }, ADMIN_PROFILE],
  'PATCH /admin/users/:id': ADMIN_PROFILE,
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

/** By the first segment: an application has resources of its own, whose answers are its own too. */
const OURS = new Set(['logout', ...Object.keys(SUCCESS).map((route) => route.split('/')[1])]);

const ERROR_STATUSES = [400, 401, 403, 404, 409, 413, 415, 429, 431, 503];
const ERROR_BODY = {
  error: text(/^[a-z_]+$/),
  error_description: text(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/),
  code: text(/^[a-z_]+$/),
};

/** What belongs to HTTP, to security, or to OAuth; anything else tells of what runs here. */
const HEADERS: Record<string, RegExp> = {
  'cache-control': /^no-store$/,
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
  'transfer-encoding': /^chunked$/,
  'www-authenticate':
    /^(Basic|Bearer) realm="latchkey"(, error="[a-z_]+", error_description="[A-Za-z ]+"(, scope="[a-z_: ]+"|, max_age="\d+")?)?$/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'x-request-id': UUID,
};

/** What belongs to some routes alone. */
const AT: [route: RegExp, headers: Record<string, RegExp>][] = [
  [/^(GET|HEAD) \/\.well-known\/[\w.-]+ 2/, { 'cache-control': /^public, max-age=300$/ }],
  [
    /^(GET|HEAD) \/docs-json [23]/,
    {
      'cache-control': /^no-cache$/,
      'content-security-policy': /^default-src 'none'; [\w ';:.-]+$/,
      etag: /^"[\w-]{43}"$/,
    },
  ],
  [/^POST \/logout /, { 'clear-site-data': /^"storage"$/ }],
  [
    /^POST \/(login(\/refresh)?|logout) /,
    {
      // Attributes of each: https or not.
      'set-cookie':
        /^(__Host-|__Secure-)?latchkey(_refresh)?=[\w.-]*; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax(; Secure)?$/,
    },
  ],
];

/** Of a service that some pages elsewhere may ask. */
const CORS = {
  'access-control-allow-credentials': /^true$/,
  'access-control-allow-methods': /^[A-Z, ]+$/,
  'access-control-max-age': /^600$/,
  vary: /^(Origin|(Origin, )?Access-Control-Request-Headers)$/,
};
/** Of an answer to one of those pages, and to nobody else. */
const ALLOWED = {
  'access-control-allow-headers': /^[\w, -]+$/,
  'access-control-allow-origin': /^https?:\/\/[^/]+$/,
};
const HTTPS = { 'strict-transport-security': /^max-age=31536000; includeSubDomains$/ };

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
  /node_modules|\bat \S+ \(|\.[cm]?[jt]s\b|\/(src|dist|tmp|home|root|usr|etc)\/|\b(select|insert|update|delete) .*\b(from|into|set)\b|sqlite|postgres|kysely|fastify|\bnest|\bexpress\b|passport|argon|\d+\.\d+\.\d+/i;
/** How Node, Fastify and the system name their errors. */
const ERROR_NAMES = /\b(FST_|ERR_|E[A-Z]{5,}\b|[A-Z]\w+Error\b)/;

/** The pages for people have a policy and types of their own; the feed is a JWT. */
const PAGES = /^\/($|docs(\/|$)|metrics$|revocations$)/;

/**
 * Holds an answer against what is true of every one: a declared status; JSON in UTF-8 of a
 * documented shape; the security headers; nothing of the server's inside, and nothing of what the
 * caller sent.
 * @param watch what is known of the service that answered
 */
export function expectSound(
  asked: Asked,
  { status, headers, body, text }: Answer<unknown>,
  watch?: Watch,
): void {
  const path = asked.path.replace(/[?#].*/s, '');
  if (status < 400 && (PAGES.test(path) || !OURS.has(path.split('/')[1]))) return;
  const where = `${asked.method} ${path} ${status}`;
  const check = (what: string, actual: unknown, expected: unknown) =>
    expect({ where, [what]: actual }).toEqual({ where, [what]: expected });

  const allowed = allowedHeaders(asked, path, status, watch);
  for (const [name, value] of headers) {
    const rule = allowed[name] ?? /^there is no such header$/;
    // Most of them hold, and a test asks thousands of times.
    if (!rule.test(value)) check(name, value, expect.stringMatching(rule));
  }
  const names = [...headers.keys()];
  for (const name of ALWAYS) {
    if (!headers.has(name)) check('headers', names, expect.arrayContaining([name]));
  }

  if (asked.method === 'HEAD' || status === 204) return check('body', text, '');
  check('type', headers.get('content-type'), JSON_UTF8);
  if (status < 400) {
    const documented = [
      SUCCESS[`${asked.method} ${pattern(path)}`] ?? 'a documented answer',
    ].flat();
    const ofItsForm = documented.find((form) => sameMembers(form, body));
    check('body', body, ofItsForm ?? documented[0]);
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

function sameMembers(form: unknown, body: unknown): boolean {
  const members = (value: unknown) =>
    Object.keys(value ?? {})
      .sort()
      .join();
  return members(form) === members(body);
}

/** The path with `:id` in the place of one. */
const pattern = (path: string): string => path.replace(/(?<=\/)[0-9a-f-]{36}(?=\/|$)/, ':id');

function allowedHeaders(
  { method, init }: Asked,
  path: string,
  status: number,
  watch: Watch | undefined,
): Record<string, RegExp> {
  const origin = new Headers(init?.headers).get('origin') ?? '';
  const config = watch?.config;
  return Object.assign(
    {},
    HEADERS,
    ...AT.map(([route, headers]) => (route.test(`${method} ${path} ${status}`) ? headers : {})),
    config?.issuer.startsWith('https:') === true ? HTTPS : {},
    config !== undefined && config.corsOrigins.length > 0 ? CORS : {},
    config?.corsOrigins.includes(origin) === true ? ALLOWED : {},
  ) as Record<string, RegExp>;
}

function told(headers: Headers): string[] {
  const own = ['x-request-id', 'date', 'content-length', 'access-control-allow-origin'];
  return [...headers].filter(([name]) => !own.includes(name)).map(([, value]) => value);
}

/** What could be recognized in an answer: not the words that answers are made of. */
function sent({ path, init }: Asked): string[] {
  const { search, pathname } = new URL(`http://x${path}`);
  const headers = new Headers(init?.headers);
  for (const name of ['content-type', 'accept', 'connection', 'sec-fetch-site'])
    headers.delete(name);
  return [
    ...pathname.split('/'),
    ...new URLSearchParams(search).values(),
    ...headers.values(),
    ...leaves(init?.body).map(([, value]) => value),
  ].filter((value) => value.length >= 5 && !/^[a-z_ ]+$|^(Bearer|Basic)$/.test(value));
}
