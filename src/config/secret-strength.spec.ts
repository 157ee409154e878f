import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { secretFault } from './secret-strength.js';

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const ALPHANUMERIC = `${LOWER}${LOWER.toUpperCase()}0123456789`;

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const hex = (text: string): string => Buffer.from(text).toString('hex');
const pick = (alphabet: string, length: number): string =>
  Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');

it.each([
  ['one character', 'a'.repeat(32)],
  ['a repetition', 'abcabcabcabcabcabcabcabcabcabcabc'],
  ['two characters', '01010101101010100101101001011010'],
  ['a sequence', '0123456789abcdef0123456789abcdef'],
  ['a sequence backwards', 'zyxwvutsrqponmlkjihgfedcba987654'],
  ['a sequence of bytes', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'],
  ['a walk over the keyboard', 'qwertyuiopasdfghjklzxcvbnm123456'],
  ['a walk up and down the keyboard', 'ytrewqhgfdsanbvcxzuiopjklm0987uhb'],
  ['a walk over a keyboard of elsewhere', 'azertyuiopqsdfghjklmwxcvbnazerty'],
  ['dates', '19870312199004051985121119991231'],
  ['what jwt.io shows, twice', 'your-256-bit-secret-your-256-bit-secret'],
  ['what jwt.io shows today', 'a-string-secret-at-least-256-bits-long'],
  ['a repeated word', 'supersecretkeysupersecretkey-supersecretkey'],
  ['a placeholder', 'please-change-this-secret-in-production'],
  ['a placeholder of capitals', 'CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET'],
  ['words that follow one another', 'thisisaverylongsecretkeyforjwttokens'],
  ['words with capitals', 'MySuperSecretKeyThatIsAtLeast32Chars!'],
  ['words with masked letters', 'Sup3rS3cr3tK3yTh4tN0b0dyC4nGu355!!'],
  ['words with dots between letters', 'S.e.c.r.e.t.K.e.y.F.o.r.J.w.t.T.o.k.e.n'],
  ['words backwards', 'noitcudorp-ni-terces-siht-egnahc-esaelp'],
  ['a sentence', 'the quick brown fox jumps over the lazy dog'],
  ['a famous passphrase', 'correct-horse-battery-staple-correct'],
  ['ten random words', 'abacus zoom dusk premium onto cobweb untidy gravy ranch emu'],
  ['Spanish', 'HolaSoyUnaClaveSuperSecretaQueNadieSabe'],
  ['Korean', '우리회사의비밀키는아무도모르는것이어야하므로길게적어둡니다'],
  ['the name of a product with a year', 'MyCompanyName2024ProductionSecretKey!'],
  ['a phrase in base64', base64('my-super-secret-key-for-jwt-tokens')],
  ['a repeated word in base64', base64('secret'.repeat(5))],
  [
    'a phrase in base64url, without padding',
    base64('please change this secret key').replace(/=+$/, ''),
  ],
  ['a phrase in hexadecimal', hex('my super secret key')],
  ['a repeated word in hexadecimal, with 0x', `0x${hex('secret'.repeat(5))}`],
  ['what FastAPI prints', '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'],
  ['a "random key" of a website', 'H+MbQeThWmZq4t7w!z%C*F-J@NcRfUjX'],
  ['the same in hexadecimal', '404E635266556A586E3272357538782F413F4428472B4B625064536756'],
  ['a phrase in base64, with a line feed', `${base64('my-super-secret-key-for-jwt-tokens')}\n`],
  ['spaces after a word', `secret${' '.repeat(40)}`],
])('refuses %s', (_what, secret) => {
  expect(Buffer.byteLength(secret)).toBeGreaterThanOrEqual(32);
  const fault = secretFault(secret);
  expect(fault).toMatch(/^must be random, .*: make one with `openssl rand -base64 32`/);
  expect(fault).not.toContain(secret.trim());
});

it.each([
  ['a UUID', '05630396-2e06-4d8a-a787-e8f09185c1cd'],
  ['the same with a line feed', '05630396-2e06-4d8a-a787-e8f09185c1cd\n'],
  ['hexadecimal', '0747b49b0815279145cfafddb5cba1b9ec31e6b33972174c16e3b739c6051660'],
  ['base64', 'eFczVyFnaEhIZnBDem1leGkmOFVDbU5xKmk4blRYU1E='],
])('refuses what is random and was published: %s', (_what, secret) => {
  const fault = secretFault(secret);
  expect(fault).toMatch(/^must be yours alone, and this one was published: make one with `openssl/);
  expect(fault).not.toContain(secret.trim());
});

it.each<[string, () => string]>([
  ['openssl rand -base64 32', () => randomBytes(32).toString('base64')],
  ['openssl rand -base64 32, with its line feed', () => `${randomBytes(32).toString('base64')}\n`],
  ['openssl rand -hex 32', () => randomBytes(32).toString('hex')],
  ['openssl rand -hex 16', () => randomBytes(16).toString('hex')],
  ['32 bytes in base64url', () => randomBytes(32).toString('base64url')],
  ['64 bytes in hexadecimal', () => randomBytes(64).toString('hex')],
  ['hexadecimal in base64', () => base64(randomBytes(32).toString('hex'))],
  ['a UUID', () => randomUUID()],
  ['two UUIDs', () => `${randomUUID()}${randomUUID()}`],
  ['32 letters and digits', () => pick(ALPHANUMERIC, 32)],
  ['pwgen -s 40', () => pick(ALPHANUMERIC, 40)],
  ['32 small letters', () => pick(LOWER, 32)],
  ['40 digits', () => pick('0123456789', 40)],
  ['32 printable characters', () => pick(`${ALPHANUMERIC}!"#$%&'()*+,-./:;<=>?@[]^_{|}~`, 32)],
  ['a phrase before 32 bytes', () => `my-app-production-secret-${randomBytes(32).toString('hex')}`],
])('takes what is random: %s', (_what, generate) => {
  const refused = Array.from({ length: 25 }, generate).filter((secret) => secretFault(secret));
  expect(refused).toEqual([]);
});

it('counts bytes, not characters', () => {
  const short = /^must be at least 32 bytes long: make one with `openssl/;
  expect(secretFault(randomBytes(16).toString('hex').slice(1))).toMatch(short);
  // 16 characters of two bytes each
  expect(secretFault('ñØåßçþäöüÆÐéèêëï')).not.toMatch(short);
});

it('shows no secret that is too short', () => {
  expect(secretFault('canary')).not.toContain('canary');
});

it('judges a secret of any length at once', () => {
  const begun = performance.now();
  expect(secretFault(randomBytes(100_000).toString('base64'))).toBeUndefined();
  expect(secretFault('secret'.repeat(100_000))).toBeDefined();
  expect(performance.now() - begun).toBeLessThan(3000);
});
