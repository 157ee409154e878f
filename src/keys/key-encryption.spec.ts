import { createSecretKey, randomBytes } from 'node:crypto';
import { decrypt, encrypt } from './key-encryption.js';

const KEY = createSecretKey(randomBytes(32));
const CONTEXT = 'kid|ES256';
const TEXT = Buffer.from('a private key');

describe('An encrypted private key', () => {
  const encrypted = encrypt(KEY, CONTEXT, TEXT);
  const bytes = Buffer.from(encrypted, 'base64url');

  it('comes back with its key and its context', () => {
    expect(decrypt(KEY, CONTEXT, encrypted)).toEqual(TEXT);
    expect(decrypt(KEY, CONTEXT, encrypt(KEY, CONTEXT, Buffer.alloc(0)))).toHaveLength(0);
  });

  it('has a nonce of its own each time, and shows nothing of the text', () => {
    const nonces = Array.from({ length: 100 }, () => encrypt(KEY, CONTEXT, TEXT).slice(0, 16));
    expect(new Set(nonces)).toHaveProperty('size', 100);
    expect(bytes.includes(TEXT.subarray(0, 4))).toBe(false);
  });

  it('does not come back when any one bit of it changed', () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decrypt(KEY, CONTEXT, changed.toString('base64url'))).toThrow();
    }
  });

  it('does not come back when it was cut short or made longer', () => {
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length).toString('base64url');
      expect(() => decrypt(KEY, CONTEXT, cut)).toThrow();
    }
    const longer = Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64url');
    expect(() => decrypt(KEY, CONTEXT, longer)).toThrow();
  });

  it.each(['kid|RS256', 'other|ES256', 'kid|ES256 ', ''])(
    'does not come back as that of "%s"',
    (context) => {
      expect(() => decrypt(KEY, context, encrypted)).toThrow();
    },
  );

  it('does not come back with another key', () => {
    expect(() => decrypt(createSecretKey(randomBytes(32)), CONTEXT, encrypted)).toThrow();
  });
});
