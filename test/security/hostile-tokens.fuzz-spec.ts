import {
  createCipheriv,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  sign,
} from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, newLogin } from '../support/client.js';
import { withOracle } from '../support/oracle.js';
import { encode, parts, resign, signingKeyOf } from '../support/tokens.js';

/** Made before anything is measured: it takes its time. */
const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

let app: TestApp;
let user: Awaited<ReturnType<typeof newLogin>>;
beforeAll(async () => {
  app = await startApp({ environment: { SIGNING_ALGORITHM: 'RS256' } });
  user = await newLogin(app);
});
afterAll(() => app.close());

const refused = (token: string) =>
  withOracle(app, async ({ call }) => {
    const { status, body } = await call('/users/me', bearer(token));
    expect([status, body['code']]).toEqual([401, 'token_invalid']);
  });

it('A token that is encrypted for the server, as JWE allows, is none of its own', async () => {
  const { claims } = parts(user.token);
  const { kid, sign: key } = signingKeyOf(app);
  for (const inner of [JSON.stringify(claims), `${encode({ alg: 'none' })}.${encode(claims)}.`]) {
    const header = encode({ alg: 'RSA-OAEP-256', enc: 'A256GCM', typ: 'at+jwt', kid });
    const [contentKey, nonce] = [randomBytes(32), randomBytes(12)];
    const wrapped = publicEncrypt({ key: createPublicKey(key), oaepHash: 'sha256' }, contentKey);
    const cipher = createCipheriv('aes-256-gcm', createSecretKey(contentKey), nonce);
    cipher.setAAD(Buffer.from(header));
    const text = Buffer.concat([cipher.update(inner), cipher.final()]);
    const segments = [wrapped, nonce, text, cipher.getAuthTag()];
    const token = [header, ...segments.map((part) => part.toString('base64url'))].join('.');
    await refused(token);
  }
});

describe('A key that a token names by its place', () => {
  let listener: Server;
  let connections = 0;
  beforeAll(async () => {
    listener = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => listener.close());

  it.each(['jku', 'x5u', 'kid', 'iss'])('is not fetched: %s', async (name) => {
    const { header, claims } = parts(user.token);
    const url = `http://127.0.0.1:${(listener.address() as { port: number }).port}/jwks.json`;
    const head = name === 'iss' ? header : { ...header, [name]: url };
    const input = `${encode(head)}.${encode(name === 'iss' ? { ...claims, iss: url } : claims)}`;
    const signed = sign('sha256', Buffer.from(input), foreign).toString('base64url');
    await refused(`${input}.${signed}`);
    expect(connections).toBe(0);
  });
});

describe('A token that is signed with the right key', () => {
  /** As a value of one member: one level more. */
  const deep = (levels: number) => `${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}`;
  const withMember = (value: object, member: string) =>
    JSON.stringify(value).replace('{', `{"x":${member},`);

  it.each([
    ['levels beyond the longest token', deep(5000)],
    ['as many levels as fit', deep(500)],
    ['one level too many', deep(33)],
    ['a list that was never closed', '['.repeat(500)],
    ['8 kB', `"${'a'.repeat(6000)}"`],
    ['hundreds of members', `{${Array.from({ length: 700 }, (_, i) => `"${i}":1`).join()}}`],
  ])('is refused at once with a claim or a header of %s', async (_, member) => {
    const { header, claims } = parts(user.token);
    const startedAt = performance.now();
    await refused(resign(app, header, withMember(claims, member)));
    await refused(resign(app, withMember(header, member), claims));
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });

  it('is good with a claim of as many levels as there may be', () =>
    withOracle(app, async ({ call }) => {
      const { header, claims } = parts(user.token);
      const token = resign(app, header, withMember(claims, deep(32)));
      expect((await call('/users/me', bearer(token))).status).toBe(200);
    }));
});

it('A good token is good after a thousand bad ones', () =>
  withOracle(app, async ({ call }) => {
    const { header, claims } = parts(user.token);
    for (let i = 0; i < 1000; i += 10) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) => {
          const kind = (i + n) % 4;
          if (kind === 0) return call('/users/me', bearer(`${user.token.slice(0, -6)}AAAAAA`));
          if (kind === 1) return call('/users/me', bearer(randomBytes(60).toString('base64url')));
          if (kind === 2)
            return call('/users/me', bearer(resign(app, header, { ...claims, sub: n })));
          return call('/users/me', bearer(resign(app, { ...header, kid: `${i}-${n}` }, claims)));
        }),
      );
      for (const { body } of answers) expect(body['code']).toBe('token_invalid');
    }
    expect((await call('/users/me', bearer(user.token))).status).toBe(200);
  }));
