import { randomBytes } from 'node:crypto';
import { savedBits } from './description-length.js';

/** Most random texts cost some bits more than spelling them out; of ten thousand, none saves any. */
it.each(['base64', 'base64url', 'hex', 'latin1'] as const)(
  'finds nothing to save in random bytes as %s',
  (encoding) => {
    const saved = Array.from({ length: 200 }, () => savedBits(randomBytes(32).toString(encoding)));
    expect(Math.max(...saved)).toBeLessThan(8);
  },
);

it.each([
  ['a word', 'xkvqzjwpsecretgmbtuy', 'xkvqzjwpsevretgmbtuy'],
  ['a word of capitals', 'xKvqZjwpSECRETgMbtuY', 'xKvqZjwpSEcrEtgMbtuY'],
  ['a masked word', 'xkvqzjwp53cr37gmbtuy', 'xkvqzjwp84cr96gmbtuy'],
  ['a run', 'xkvqzjwpcdefghgmbtuy', 'xkvqzjwpcfdhgegmbtuy'],
  ['a run of equal steps', 'xkvqzjwpacegikmobtuy', 'xkvqzjwpagckmiobetuy'],
  ['a repetition', 'xkvqzjwpxkvqzjwpbtuy', 'xkvqzjwpwjqxkpzvbtuy'],
  ['what can be pronounced', 'lorimanteskaribolent', 'lrmntskrblntoiaeaioe'],
])('tells %s in fewer bits', (_what, regular, irregular) => {
  expect(regular).toHaveLength(irregular.length);
  expect(savedBits(regular)).toBeGreaterThan(savedBits(irregular) + 5);
});

it('costs a repetition in other cases its cases', () => {
  expect(savedBits('xKvQzJwPxKvQzJwP')).toBeGreaterThan(savedBits('xKvQzJwPXkVqZjWp') + 5);
});
