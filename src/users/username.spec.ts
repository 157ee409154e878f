import fc from 'fast-check';
import { canonicalUsername } from './username.js';

it.each([
  ['alice', 'alice'],
  ['Alice', 'alice'],
  ['ALICE.B_c@d+e-9', 'alice.b_c@d+e-9'],
  ['ａｌｉｃｅ', 'alice'],
  ['\u212aelvin', 'kelvin'],
  ['ﬁona', 'fiona'],
  ['Ünal', 'ünal'],
  ['U\u0308nal', 'ünal'],
  ['김철수', '김철수'],
  ['Алиса', 'алиса'],
  ['٣٤', '٣٤'],
])('%s is %s', (username, canonical) => {
  expect(canonicalUsername(username)).toBe(canonical);
});

it.each([
  '',
  ' ',
  'a b',
  ' alice',
  'alice\n',
  'alice\0',
  'ali\u200dce',
  'alice\u202e',
  '\u0301a',
  'a/b',
  "a'b",
  'a"b',
  'a\\b',
  'a:b',
  '<a>',
  'a%b',
  'аlice',
  'alicε',
  'a\ud800',
  '½',
  '🦉',
  'a'.repeat(65),
  'ﷺ'.repeat(20),
])('%j is no username', (username) => {
  expect(canonicalUsername(username)).toBeUndefined();
});

it('is its own canonical form, and of every spelling', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (username) => {
      const canonical = canonicalUsername(username);
      if (canonical === undefined) return;
      expect(canonicalUsername(canonical)).toBe(canonical);
      expect(canonicalUsername(canonical.toUpperCase()) ?? canonical).toBe(
        canonicalUsername(canonical.toUpperCase().toLowerCase()) ?? canonical,
      );
      expect(canonical).not.toMatch(/[\p{C}\p{Z}\p{Lu}]/u);
    }),
    { numRuns: 2000 },
  );
});
