import type { StoredKey } from './key-store.js';
import { activeKey, verifyingKeys } from './key-schedule.js';
import { generateSigningKey, loadSigningKey, type SigningKey } from './signing-key.js';

const NOW = 1_767_225_600_000;

async function key(algorithm: 'ES256' | 'RS256'): Promise<SigningKey> {
  const { kid, pkcs8 } = await generateSigningKey(algorithm);
  return loadSigningKey(kid, algorithm, pkcs8);
}

describe('The key that signs', () => {
  const keys: Record<string, SigningKey> = {};
  beforeAll(async () => {
    for (const name of ['a', 'b', 'c']) keys[name] = await key('ES256');
    keys['rsa'] = await key('RS256');
  });

  /** Activation relative to now, in milliseconds; null for a standby key. */
  type Offsets = Record<string, number | null>;

  it.each<[string, Offsets, string | undefined]>([
    ['the only one', { a: -1 }, 'a'],
    ['one from its very millisecond on', { a: -1000, b: 0 }, 'b'],
    ['not one millisecond before', { a: -1000, b: 1 }, 'a'],
    ['the latest of those that are due', { a: -3000, b: -1000, c: -2000 }, 'b'],
    ['whatever the order they are read in', { c: -2000, b: -1000, a: -3000 }, 'b'],
    ['never the standby', { a: null, b: -1000 }, 'b'],
    ['none when only a standby is there', { a: null }, undefined],
    ['the first one when the clock is behind all of them', { a: 1, b: 900_000 }, 'a'],
    ['none when there is none', {}, undefined],
    ['none of another algorithm, be it later', { a: -2000, rsa: -1000 }, 'a'],
    ['none of another algorithm, be it alone', { rsa: -1000 }, undefined],
  ])('is %s', (_, offsets, expected) => {
    const stored = Object.entries(offsets).map(([name, offset]): StoredKey => ({
      key: keys[name]!,
      activateAt: offset === null ? null : NOW + offset,
      longestTtl: 1800,
    }));
    const before = [...stored];
    expect(activeKey(stored, 'ES256', NOW)).toBe(expected && keys[expected]);
    expect(stored).toEqual(before);
  });

  it.each<[string, Offsets, string[]]>([
    ['it is the only one', { a: -9e9 }, ['a']],
    ['it stands by, or waits', { a: -9e9, b: null, c: 5 }, ['a', 'b', 'c']],
    ['the last of its tokens can be alive', { a: -9e9, b: -1_859_999 }, ['a', 'b']],
    ['not one millisecond longer', { a: -9e9, b: -1_860_000 }, ['b']],
    ['counted from the next, not the last', { a: -9e9, b: -8e9, c: -1 }, ['b', 'c']],
    ['never by one of another algorithm', { a: -9e9, rsa: -8e9 }, ['a', 'rsa']],
    ['one of another algorithm only until it is over for it', { rsa: -9e9, a: -8e9 }, ['a']],
    ['no standby of another algorithm', { rsa: null, a: -8e9 }, ['a']],
  ])('verifies while %s', (_, offsets, expected) => {
    const stored = Object.entries(offsets).map(([name, offset]): StoredKey => ({
      key: keys[name]!,
      activateAt: offset === null ? null : NOW + offset,
      longestTtl: 1800,
    }));
    const verifying = verifyingKeys(stored, 'ES256', NOW).map(({ key }) => key);
    expect(verifying).toEqual(expected.map((name) => keys[name]));
  });
});
