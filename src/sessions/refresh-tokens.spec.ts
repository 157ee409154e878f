import fc from 'fast-check';
import { RootSecret } from '../keys/root-secret.js';
import { RootSecrets } from '../keys/root-secrets.js';
import { RefreshTokens } from './refresh-tokens.js';

const first = new RootSecret('r8Xq2ZpL0vWk6Tn4YbHs1JdMf9GcUe3A');
const second = new RootSecret('b5Nw7RtC1xKj8Qm2VzPf6HsLg0DyAe4U');
const tokens = new RefreshTokens(new RootSecrets(first));

const id = { refreshId: tokens.newId(), counter: 7 };
const token = tokens.issue(id);

it('reads what it issued', () => {
  expect(token).toMatch(/^lk_rt_[0-9a-f]{32}_7_[A-Za-z0-9_-]{43}$/);
  expect(tokens.read(token)).toEqual(id);
});

it('reads no token that differs in one character, anywhere', () => {
  for (let at = 0; at < token.length; at++) {
    const others = ['0', 'A', '_', '-', '', ' '].filter((other) => other !== token[at]);
    for (const other of others) {
      expect(tokens.read(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
    }
  }
});

it('has one spelling for each token', () => {
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const genuine = [...last].filter((character) => tokens.read(token.slice(0, -1) + character));
  expect(genuine).toEqual([token.at(-1)]);
  expect(tokens.read(token.replace('_7_', '_07_'))).toBeUndefined();
  expect(tokens.read(token.replace('_7_', '_7.0_'))).toBeUndefined();
  expect(tokens.read(`${token}\n`)).toBeUndefined();
});

it('reads nothing out of any other text', () => {
  fc.assert(fc.property(fc.string(), (text) => tokens.read(text) === undefined));
});

it('still reads what was issued under the secret before this one, and issues under this one', () => {
  const rotated = new RefreshTokens(new RootSecrets(second, first));
  expect(rotated.read(token)).toEqual(id);
  expect(rotated.issue(id)).not.toBe(token);
  expect(tokens.read(rotated.issue(id))).toBeUndefined();
  expect(new RefreshTokens(new RootSecrets(second)).read(token)).toBeUndefined();
});
