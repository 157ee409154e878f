import fc from 'fast-check';
import { decodeSegment, formFault, MAX_TOKEN_LENGTH } from './compact-form.js';

const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 });
const token = fc.tuple(bytes, bytes, bytes).map((segments) => segments.map(encode).join('.'));
/** What decoders overlook, what they do not, and what is nothing of the kind. */
const character = fc.oneof(
  fc.constantFrom(...'=.+/-_ \n\t\0AZaz09"é\u{1f600}'),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
);

it('Three segments of bytes pass as they are encoded', () => {
  fc.assert(fc.property(token, (text) => expect(formFault(text)).toBeUndefined()));
});

it('Whatever else decodes to the same bytes does not', () => {
  const bytesOf = (text: string) => text.split('.').map((part) => Buffer.from(part, 'base64url'));
  fc.assert(
    fc.property(token, fc.nat(), character, fc.boolean(), (text, at, inserted, replaces) => {
      const place = at % (text.length + 1);
      const other = text.slice(0, place) + inserted + text.slice(place + (replaces ? 1 : 0));
      fc.pre(other !== text);
      fc.pre(JSON.stringify(bytesOf(other)) === JSON.stringify(bytesOf(text)));
      expect(formFault(other)).toEqual(expect.any(String));
    }),
    { numRuns: 1000 },
  );
});

it('What passes is base64url in three segments, of which each is the one encoding of its bytes', () => {
  const near = fc.tuple(token, fc.array(character, { maxLength: 3 }), fc.nat());
  const any = fc.oneof(
    near.map(([text, extra, at]) => text.slice(0, at % text.length) + extra.join('')),
    near.map(([text, extra, at]) => extra.join('') + text.slice(at % text.length)),
    fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }).map((parts) => parts.join('.')),
  );
  fc.assert(
    fc.property(any, (text) => {
      if (formFault(text) !== undefined) return;
      expect(text).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
      for (const segment of text.split('.')) {
        expect(segment.length % 4).not.toBe(1);
        expect(encode(Buffer.from(segment, 'base64url'))).toBe(segment);
      }
    }),
    { numRuns: 1000 },
  );
});

it('The longest passes, and nothing longer', () => {
  const longest = `AA.${'A'.repeat(MAX_TOKEN_LENGTH - 6)}.AA`;
  expect(longest).toHaveLength(MAX_TOKEN_LENGTH);
  expect(formFault(longest)).toBeUndefined();
  expect(formFault(`${longest}AA`)).toMatch(/4096 are the most/);
});

it('Nothing makes it throw, and what is no JSON object is none', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), bytes, (text, segment) => {
      expect([undefined, 'string']).toContain(formFault(text) && 'string');
      for (const some of [text, `${encode(segment)}.${text}`]) {
        for (const index of [0, 1] as const) {
          const decoded = decodeSegment(some, index);
          if (decoded !== undefined) expect(Object.keys(decoded)).toEqual(expect.any(Array));
        }
      }
    }),
  );
});
