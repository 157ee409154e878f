import bcrypt from 'bcrypt';
import fc from 'fast-check';
import { hashPassword, isWeaker, parseStoredHash, verifyPassword } from './stored-hash.js';

const CURRENT = { memoryCost: 64, timeCost: 2, parallelism: 1 };
const SALT = 'c2FsdHNhbHRzYWx0c2FsdA';
const HASH = 'A'.repeat(43);
const phc = (parameters: string) => `$argon2id$v=19$${parameters}$${SALT}$${HASH}`;

it('makes argon2id in version 19, with the given parameters and a 16-byte salt', async () => {
  const hash = await hashPassword('a password', CURRENT);
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=64,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  const stored = parseStoredHash(hash);
  expect(stored).toEqual({ kind: 'argon2id', ...CURRENT });
  expect(await verifyPassword(hash, stored!, 'a password')).toBe(true);
  expect(await verifyPassword(hash, stored!, 'a passwore')).toBe(false);
});

it.each([
  ['nothing', ''],
  ['a word', 'x'],
  ['plain text', 'hunter2'],
  ['argon2i', phc('m=64,t=2,p=1').replace('argon2id', 'argon2i')],
  ['an old version', phc('m=64,t=2,p=1').replace('19', '16')],
  ['memory that would end the process', phc('m=4294967295,t=2,p=1')],
  ['more memory than is obeyed', phc('m=262145,t=2,p=1')],
  ['no memory', phc('m=0,t=2,p=1')],
  ['less memory than its lanes need', phc('m=15,t=2,p=2')],
  ['passes for minutes', phc('m=64,t=1000,p=1')],
  ['many lanes', phc('m=64,t=2,p=64')],
  ['parameters in another order', phc('t=2,m=64,p=1')],
  ['a leading zero', phc('m=064,t=2,p=1')],
  ['a line break at the end', `${phc('m=64,t=2,p=1')}\n`],
  ['a salt that no bytes are', phc('m=64,t=2,p=1').replace(SALT, 'A'.repeat(13))],
  ['a salt with bits beyond its bytes', phc('m=64,t=2,p=1').replace(SALT, `${'A'.repeat(21)}B`)],
  ['a digest that no bytes are', `${phc('m=64,t=2,p=1')}AA`],
  ['a digest with bits beyond its bytes', phc('m=64,t=2,p=1').replace(HASH, 'B'.repeat(43))],
  ['bcrypt that takes hours', `$2b$31$${'a'.repeat(53)}`],
  ['bcrypt without a cost', `$2b$03$${'a'.repeat(53)}`],
  ['another bcrypt', `$2x$10$${'a'.repeat(53)}`],
  ['PBKDF2 that takes minutes', `$pbkdf2-sha256$2000001$c2FsdA$${HASH}`],
  ['PBKDF2 beyond any number', `pbkdf2_sha256$9999999999$salt$${HASH}=`],
  ['PBKDF2 without iterations', `$pbkdf2-sha256$0$c2FsdA$${HASH}`],
  ['PBKDF2 without a salt', `$pbkdf2-sha256$1$$${HASH}`],
  ['PBKDF2 with SHA-1', `$pbkdf2$1$c2FsdA$${'A'.repeat(27)}`],
  ['SHA-512 that was cut', `$pbkdf2-sha512$1$c2FsdA$${HASH}`],
  ['SHA-256 that is too long', `$pbkdf2-sha256$1$c2FsdA$${'A'.repeat(86)}`],
])('refuses %s from storage', (_, text) => {
  expect(parseStoredHash(text)).toBeUndefined();
});

it('never throws, and obeys nothing beyond the bounds, whatever is stored', () => {
  const number = fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 70n })).map(String);
  fc.assert(
    fc.property(number, number, number, fc.string(), (m, t, p, tail) => {
      for (const text of [phc(`m=${m},t=${t},p=${p}`), phc(`m=${m},t=${t},p=${p}`) + tail, tail]) {
        const stored = parseStoredHash(text);
        if (stored?.kind !== 'argon2id') continue;
        expect(stored.memoryCost).toBeLessThanOrEqual(262_144);
        expect(stored.timeCost).toBeLessThanOrEqual(10);
        expect(stored.parallelism).toBeLessThanOrEqual(8);
      }
    }),
  );
});

it('can compare whatever it reads', async () => {
  const base64 = fc.stringMatching(/^[A-Za-z0-9+/]{11,86}$/);
  await fc.assert(
    fc.asyncProperty(base64, base64, async (salt, digest) => {
      const text = `$argon2id$v=19$m=8,t=1,p=1$${salt}$${digest}`;
      const stored = parseStoredHash(text);
      if (stored) expect(await verifyPassword(text, stored, 'a password')).toBe(false);
    }),
  );
});

it('calls weaker what has less memory or fewer passes, and bcrypt', () => {
  const argon2id = (memoryCost: number, timeCost: number) =>
    isWeaker({ kind: 'argon2id', memoryCost, timeCost, parallelism: 1 }, CURRENT);
  expect([argon2id(64, 2), argon2id(128, 3)]).toEqual([false, false]);
  expect([argon2id(63, 2), argon2id(64, 1)]).toEqual([true, true]);
  expect(isWeaker({ kind: 'bcrypt', cost: 15 }, CURRENT)).toBe(true);
});

it('verifies bcrypt in the spellings of other systems, and refuses NUL there', async () => {
  const made = await bcrypt.hash('a password', 4);
  for (const prefix of ['$2a$', '$2b$', '$2y$']) {
    const hash = prefix + made.slice(4);
    const stored = parseStoredHash(hash);
    expect(stored).toEqual({ kind: 'bcrypt', cost: 4 });
    expect(await verifyPassword(hash, stored!, 'a password')).toBe(true);
    expect(await verifyPassword(hash, stored!, 'a passwore')).toBe(false);
    expect(await verifyPassword(hash, stored!, 'a password\0x')).toBe(false);
  }
});

it.each([
  [
    'passlib',
    '$pbkdf2-sha256$29000$e./9fw8hROjd21uLESKEkA$PF1thhPBVxLsPGjIXz3AEHsyBPgFe/wGOdMcz6oGzcE',
  ],
  [
    'passlib with SHA-512',
    '$pbkdf2-sha512$25000$o7T2vpfSeo9xTulda.1daw$9EOAqvRq33p9WuaXWkazYmkzSQk/k6SaWAf7AChXNSnP3SXEq6kpLqFyTX9W45x.Bw90RPE6HG8SBjh18COh5g',
  ],
  ['passlib with a short salt', '$pbkdf2-sha256$1$VQ$1p9xOsolBTP6/0Sr4w4VffO8ACmo/RfG5GiKjJzBVPI'],
  [
    'Django',
    'pbkdf2_sha256$1000000$w4KDWhgOJFpjfmbre83KvN$tRwpmcInYwr3UNEbhmReaI1f8fT3EADvdiqjnQdP6ZQ=',
  ],
])('verifies a PBKDF2 hash that %s made', async (_, hash) => {
  const stored = parseStoredHash(hash);
  expect(stored?.kind).toBe('pbkdf2');
  expect(await verifyPassword(hash, stored!, 'quiet river under seven moons')).toBe(true);
  expect(await verifyPassword(hash, stored!, 'quiet river under seven moonz')).toBe(false);
  expect(isWeaker(stored!, CURRENT)).toBe(true);
});

it('takes the bytes of UTF-8 for PBKDF2, as passlib does', async () => {
  const hash =
    '$pbkdf2-sha256$1000$P.e8t/Y.h1AqZQxhbE2pdQ$a6Bh92TSa/0GXaEJ7KzoMUUZ3rVuUNcaDshEalmSuqE';
  expect(await verifyPassword(hash, parseStoredHash(hash)!, 'pässwörd — 密码')).toBe(true);
});
