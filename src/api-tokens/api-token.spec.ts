import fc from 'fast-check';
import { isApiToken, makeApiToken, parseApiToken } from './api-token.js';

const { token, id, secret } = makeApiToken();

it('reads what it made', () => {
  expect(token).toMatch(/^lk_api_[0-9A-Za-z]{16}_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}$/);
  expect(parseApiToken(token)).toEqual({ id, secret });
  expect(isApiToken(token)).toBe(true);
});

it('has the checksum that is documented', () => {
  const body = 'lk_api_0123456789ABCDEF_0123456789ABCDEFGHIJKLMNOPQRST';
  expect(parseApiToken(`${body}_000000`)).toBeUndefined();
  // python3: zlib.crc32(body) in base62
  expect(parseApiToken(`${body}_41Ebdz`)).toEqual({
    id: '0123456789ABCDEF',
    secret: '0123456789ABCDEFGHIJKLMNOPQRST',
  });
});

it('knows one changed character, anywhere, without asking anybody', () => {
  for (let at = 0; at < token.length; at++) {
    for (const other of ['0', 'a', '_', '']) {
      if (other === token[at]) continue;
      expect(parseApiToken(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
    }
  }
});

it('reads nothing out of any other text', () => {
  fc.assert(fc.property(fc.string(), (text) => parseApiToken(text) === undefined));
  for (const text of [`${token}\n`, ` ${token}`, token.toUpperCase()]) {
    expect(parseApiToken(text)).toBeUndefined();
  }
});

it('makes no two alike', () => {
  expect(new Set(Array.from({ length: 1000 }, () => makeApiToken().token)).size).toBe(1000);
});
