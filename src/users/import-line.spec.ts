import { BadLine, readUserLine } from './import-line.js';

const BCRYPT = `$2b$12$${'a'.repeat(53)}`;
const ID = '4F9B1C62-0d7e-4a53-9c1e-2f6f0b8d7a10';
const line = (members: object) =>
  Buffer.from(JSON.stringify({ username: 'Alice', password_hash: BCRYPT, ...members }));

it('reads a user, with what is left out as it would be for a new one', () => {
  expect(readUserLine(line({}))).toEqual({
    id: undefined,
    username: 'Alice',
    canonicalUsername: 'alice',
    passwordHash: BCRYPT,
    roles: ['user'],
    disabled: false,
    createdAt: undefined,
    passwordExpiresAt: null,
  });
});

it('reads everything that a user has', () => {
  const members = {
    id: ID,
    roles: ['admin', 'user', 'admin'],
    disabled: true,
    created_at: '2024-05-31T14:00:00.123456+02:00',
    password_expires_at: '2024-06-03t12:00:00z',
  };
  expect(readUserLine(line(members))).toMatchObject({
    id: ID.toLowerCase(),
    roles: ['admin', 'user'],
    disabled: true,
    createdAt: Date.UTC(2024, 4, 31, 12, 0, 0, 123),
    passwordExpiresAt: Date.UTC(2024, 5, 3, 12),
  });
});

it.each([
  ['argon2$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$' + 'A'.repeat(43), /^\$argon2id\$v/],
  [`bcrypt$${BCRYPT}`, /^\$2b\$12\$a/],
  [`pbkdf2_sha256$1000000$salt$${'A'.repeat(43)}=`, /^pbkdf2_sha256\$1000000\$salt/],
  [`$pbkdf2-sha512$25000$c2FsdA$${'A'.repeat(86)}`, /^\$pbkdf2-sha512\$25000/],
])('takes %s', (password_hash, stored) => {
  expect(readUserLine(line({ password_hash })).passwordHash).toMatch(stored);
});

it.each<[string, Uint8Array, RegExp]>([
  ['no JSON', Buffer.from('alice,x'), /not JSON/],
  ['ill-formed UTF-8', Buffer.from([0x22, 0xff, 0x22]), /not JSON in UTF-8/],
  ['a member twice', Buffer.from('{"username":"a","username":"b"}'), /a member twice/],
  ['a list', Buffer.from('[]'), /not a JSON object/],
  ['a misspelt member', line({ disable: true }), /"disable", which is unknown/],
  ['no username', line({ username: undefined }), /^username must be there/],
  ['a username with a space', line({ username: 'a b' }), /^username must be 1 to 64/],
  ['a username too long', line({ username: 'a'.repeat(65) }), /^username must be 1 to 64/],
  ['no hash', line({ password_hash: undefined }), /^password_hash must be argon2id/],
  ['a password', line({ password_hash: 'hunter2' }), /^password_hash must be argon2id/],
  [
    'a salt that no bytes are',
    line({ password_hash: `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(13)}$${'A'.repeat(43)}` }),
    /^password_hash must be/,
  ],
  [
    'a digest with bits beyond its bytes',
    line({ password_hash: `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(42)}B` }),
    /^password_hash must be/,
  ],
  ['MD5', line({ password_hash: `md5$salt$${'0'.repeat(32)}` }), /^password_hash must be/],
  [
    'Django’s bcrypt of a SHA-256',
    line({ password_hash: `bcrypt_sha256$${BCRYPT}` }),
    /^password_h/,
  ],
  ['a Django user without a password', line({ password_hash: '!abc' }), /^password_hash must/],
  ['a name before a hash that has none', line({ password_hash: `argon2${BCRYPT}` }), /^password_h/],
  ['an unknown role', line({ roles: ['root'] }), /^roles must be a list of user, admin/],
  ['no role', line({ roles: [] }), /^roles must be/],
  ['roles in one string', line({ roles: 'user' }), /^roles must be/],
  ['disabled as a word', line({ disabled: 'no' }), /^disabled must be true or false/],
  ['a number for an id', line({ id: 7 }), /^id must be a UUID/],
  ['a time without its zone', line({ created_at: '2024-05-31T12:00:00' }), /^created_at must be/],
  ['a day that is not', line({ created_at: '2024-02-30T12:00:00Z' }), /^created_at must be/],
  ['an hour that is not', line({ created_at: '2024-02-20T25:00:00Z' }), /^created_at must be/],
  ['epoch seconds', line({ created_at: 1_700_000_000 }), /^created_at must be/],
])('refuses %s, and quotes no hash', (_, bytes, reason) => {
  let fault: unknown;
  try {
    readUserLine(bytes);
  } catch (error) {
    fault = error;
  }
  expect(fault).toBeInstanceOf(BadLine);
  expect((fault as BadLine).message).toMatch(reason);
  expect((fault as BadLine).message).not.toContain('hunter2');
  expect((fault as BadLine).message).not.toContain('aaaa');
});
