import fc from 'fast-check';
import { from, newAddress } from '../support/addresses.js';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, call, json, newLogin, newName, PASSWORD, register } from '../support/client.js';
import { NAUGHTY } from '../support/naughty.js';
import { withOracle } from '../support/oracle.js';
import { newAdmin } from '../support/principals.js';
import { exchange } from '../support/raw-answer.js';
import { expectSound } from '../support/sound-answer.js';
import { parts } from '../support/tokens.js';
import { Visitor } from '../support/visitor.js';

/** With `FUZZ_RUNS` so many requests of each kind are tried, however long it takes. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 0);
/** After so many it is looked at what they left behind: what is watched is remembered until then. */
const AT_ONCE = 5000;
/** Of mutated ones so many are sent at a time: what is incomplete is waited for. */
const LIST = 20;
/** Otherwise milliseconds for each of the two; what was not reached by then is not tried. */
const ENOUGH = RUNS > 0 ? {} : { interruptAfterTimeLimit: 4_000, markInterruptAsFailure: false };
const PATIENCE = 60_000 + RUNS * 2000;

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
}
interface Operation {
  requestBody?: { content: Record<string, { schema: Schema }> };
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

let app: TestApp;
/** What each kind of caller presents, by the header that it is in. */
let presented: Record<string, Record<string, string>>;
/** What may stand in a path for an `{id}`. */
let ids: string[];
beforeAll(async () => {
  app = await startApp({ environment: { TRUST_PROXY: '1', LOG_LEVEL: 'warn' } });
  const [user, admin] = [await newLogin(app), await newAdmin(app)];
  const visitor = await Visitor.loggedIn(app);
  const { body } = await call<{ id: string; token: string }>(
    app,
    '/api-tokens',
    bearer(user.token, json({ name: 'any' })),
  );
  const authorization = (token: string) => ({ authorization: `Bearer ${token}` });
  presented = {
    nobody: {},
    user: authorization(user.token),
    admin: authorization(admin.token),
    program: authorization(body.token),
    browser: {
      cookie: [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      'sec-fetch-site': 'same-origin',
    },
    forger: authorization(`${user.token}x`),
  };
  ids = [body.id, (await register(app)).id, parts(user.token).claims['sid'] as string];
});
afterAll(() => app.close());

const text = fc.oneof(
  fc.constantFrom(...NAUGHTY),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constant(PASSWORD),
  fc.nat().map((n) => 'x'.repeat(n % 5000)),
);
const anything = fc.oneof({ weight: 3, arbitrary: text }, fc.jsonValue({ maxDepth: 3 }));

/** A member of a body that has those of the document, most of the time, and others. */
const bodyOf = (names: readonly string[]) =>
  fc
    .tuple(
      fc.record(Object.fromEntries(names.map((name) => [name, anything])), { requiredKeys: [] }),
      fc.option(fc.dictionary(text, anything, { maxKeys: 3 }), { freq: 4, nil: {} }),
    )
    .map(([known, others]) => ({ ...others, ...known }));

/** A request for one of the document's operations, as far as one can make sense of it. */
function requests({ paths, components }: Document): fc.Arbitrary<[string, RequestInit]> {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const content = Object.entries(operation.requestBody?.content ?? {});
      const names = content.flatMap(([, { schema }]) => {
        const { properties } = components.schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema;
        return Object.keys(properties ?? {});
      });
      return { path, method: method.toUpperCase(), types: content.map(([type]) => type), names };
    }),
  );
  return fc
    .constantFrom(...operations)
    .chain(({ path, method, types, names }) =>
      fc.record({
        path: fc
          .oneof({ weight: 2, arbitrary: fc.constantFrom(...ids) }, text.map(encode))
          .map((id) => path.replace('{id}', id))
          .chain((path) =>
            fc.oneof(
              { weight: 4, arbitrary: fc.constant(path) },
              text.map((tail) => `${path}?${encode(tail)}`),
              text.map((tail) => `${path}/${encode(tail)}`),
            ),
          ),
        method: fc.oneof(
          { weight: 6, arbitrary: fc.constant(method) },
          fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
        ),
        type: fc.constantFrom(...types, 'application/json', 'text/plain', ''),
        body: fc.oneof(bodyOf(names), anything),
        caller: fc.constantFrom(...Object.values(presented)),
      }),
    )
    .map(({ path, method, type, body, caller }) => {
      // Those whose credentials are used must stay, and stay logged in.
      const ends = (method === 'DELETE' && !path.startsWith('/admin')) || path === '/logout';
      const verb = ends ? 'GET' : method;
      const init: RequestInit = {
        method: verb,
        headers: { ...caller, ...(type !== '' && { 'content-type': type }) },
      };
      if (verb !== 'GET') init.body = write(type, body);
      return [path, init];
    });
}

const encode = (tail: string) => encodeURIComponent(tail.toWellFormed());

function write(type: string, body: unknown): string | FormData {
  if (type === 'application/json' || typeof body !== 'object' || body === null) {
    return JSON.stringify(body);
  }
  const entries = Object.entries(body).map(([name, value]): [string, string] => [
    name.toWellFormed(),
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return new URLSearchParams(entries).toString();
}

it(
  'Whatever is asked of the documented operations is answered soundly',
  async () => {
    const { body } = await call<Document & Record<string, unknown>>(app, '/docs-json');
    let asked = 0;
    const found = new Set<number>();
    await inParts(RUNS || 3000, async (numRuns) => {
      await withOracle(app, async (watched) => {
        await fc.assert(
          fc.asyncProperty(requests(body), async ([path, init]) => {
            asked++;
            found.add((await watched.call(path, from(newAddress(), init))).status);
          }),
          { numRuns, ...ENOUGH },
        );
      });
    });
    expect(asked).toBeGreaterThan(50);
    // Of fewer, chance decides.
    if (asked > 500) expect([...found]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404]));
  },
  PATIENCE,
);

it(
  'Valid requests in which some bytes were changed are answered soundly, or not at all',
  async () => {
    const { username, password, token } = await newLogin(app);
    const credentials = (type: string, body: string) =>
      `POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const multipart = Object.entries({ username, password })
      .map(
        ([name, value]) =>
          `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      )
      .join('');
    const valid = [
      credentials('application/json', JSON.stringify({ username, password })),
      credentials(
        'application/x-www-form-urlencoded',
        new URLSearchParams({ username, password }).toString(),
      ),
      credentials('multipart/form-data; boundary=b', `${multipart}--b--\r\n`),
      credentials('application/json', JSON.stringify({ username: newName(), password })).replace(
        '/token',
        '/users',
      ),
      `GET /secure-data HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      `GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    ];
    for (const request of valid) {
      const answers = await exchange(app, request);
      expect(answers.map(({ status }) => Math.floor(status / 100))).toEqual([2]);
    }
    const change = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('put', 'insert', 'cut'));
    const changed = fc
      .tuple(fc.constantFrom(...valid), fc.array(change, { minLength: 1, maxLength: 4 }))
      .map(([request, changes]) => alter(Buffer.from(request), changes));
    let asked = 0;
    await inParts(RUNS || 1500, (count) =>
      withOracle(app, async ({ secret }) => {
        for (const known of [password, token]) secret(known);
        await fc.assert(
          fc.asyncProperty(fc.array(changed, { minLength: LIST, maxLength: LIST }), (requests) =>
            Promise.all(
              requests.map(async (request) => {
                asked++;
                // Empty lines before it and more than one space are let pass (RFC 9112, sections 2.2 and 3).
                const [method = '', path = ''] = request.toString('latin1').trimStart().split(/ +/);
                const answers = await exchange(app, request, { quiet: 20, patience: 150 });
                for (const answer of answers) {
                  expectSound({ method, path: path.startsWith('/') ? path : '/' }, answer);
                }
              }),
            ).then(() => undefined),
          ),
          { numRuns: Math.ceil(count / LIST), ...ENOUGH },
        );
      }),
    );
    expect(asked).toBeGreaterThan(50);
  },
  PATIENCE,
);

/** Tries so many, a part after the other. */
async function inParts(runs: number, tryThem: (count: number) => Promise<void>): Promise<void> {
  for (let done = 0; done < runs; done += AT_ONCE) await tryThem(Math.min(AT_ONCE, runs - done));
}

type Change = [at: number, byte: number, how: string];

/** Puts bytes in the place of others, or between them, or leaves out the rest. */
function alter(request: Buffer, changes: readonly Change[]): Buffer {
  let bytes = [...request];
  for (const [at, byte, how] of changes) {
    const place = at % (bytes.length || 1);
    if (how === 'cut') bytes = bytes.slice(0, place);
    else bytes.splice(place, how === 'put' ? 1 : 0, byte);
  }
  return Buffer.from(bytes);
}
