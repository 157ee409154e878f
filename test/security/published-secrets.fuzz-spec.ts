import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { secretFault } from '../../src/config/secret-strength.js';
import { startApp, type TestApp } from '../support/app.js';
import { bearer, newLogin } from '../support/client.js';
import { withOracle } from '../support/oracle.js';
import { encode, parts, signingKeyOf } from '../support/tokens.js';

/** Those in use somewhere that somebody found: of https://github.com/wallarm/jwt-secrets, MIT. */
const SECRETS = readFileSync(new URL('../support/published-secrets.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');
const OWN = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';
const AT_ONCE = 20;

describe.each([
  ['keys of its own', {}],
  ['a good JWT_SECRET', { JWT_SECRET: OWN }],
])('A server with %s', (_, environment: Record<string, string>) => {
  let app: TestApp;
  let forge: (secret: string) => string;
  beforeAll(async () => {
    app = await startApp({ environment });
    const { header, claims } = parts((await newLogin(app)).token);
    forge = (secret) => {
      const input = `${encode({ ...header, alg: 'HS256' })}.${encode(claims)}`;
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    };
  });
  afterAll(() => app.close());

  it('takes no token that is signed with a published secret, or with none', () =>
    withOracle(app, async ({ call }) => {
      const keys = ['', ...SECRETS];
      expect(keys).toHaveLength(2001);
      const taken: string[] = [];
      for (let i = 0; i < keys.length; i += AT_ONCE) {
        await Promise.all(
          keys.slice(i, i + AT_ONCE).map(async (key) => {
            const { status, body } = await call('/users/me', bearer(forge(key)));
            if (status !== 401 || body['code'] !== 'token_invalid') taken.push(key);
          }),
        );
      }
      expect(taken).toEqual([]);
    }));

  it('takes one that is made in the same way with its own, where that is a secret', () =>
    withOracle(app, async ({ call }) => {
      const isSecret = signingKeyOf(app).algorithm === 'HS256';
      const { status } = await call('/users/me', bearer(forge(OWN)));
      expect(status).toBe(isSecret ? 200 : 401);
    }));
});

it('Nearly all of them are too short for HS256, and refused as JWT_SECRET for that', () => {
  const short = SECRETS.filter((secret) => Buffer.byteLength(secret) < 32);
  expect(short.length).toBeGreaterThan(1900);
  expect(short.filter((secret) => secretFault(secret) === undefined)).toEqual([]);
});
