import fc from 'fast-check';
import { parseStrictJson, TooManyValues } from './strict-json.js';

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text));

it.each([
  '{}',
  '[]',
  '"a"',
  '1',
  'null',
  ' {"a" : [ {"a":1}, {"a":2} ] } ',
  '{"a":{"a":{"a":1}}}',
  '{"\\"":1,"\\\\":2}',
])('reads %s as JSON.parse does', (text) => {
  expect(parse(text)).toEqual(JSON.parse(text));
});

it.each([
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":2}',
  '{"x":{"a":1,"b":2,"a":3}}',
  '[{"a":[],"a":[]}]',
  '{"a" :1,"a"\n:1}',
  '{"__proto__":1}',
  '{"\\u005f_proto__":1}',
  '\ufeff{}',
  '',
  '{"a":1}x',
  '['.repeat(33) + ']'.repeat(33),
])('refuses %s', (text) => {
  expect(() => parse(text)).toThrow();
});

it.each(['{"a":1,"b":2,"c":3,"d":4}', '[1,2,3,4]', '{"a":["[,{",{}]}', '[{},[]]'])(
  'counts the values of %s as at most four',
  (text) => {
    expect(parseStrictJson(Buffer.from(text), 4)).toEqual(JSON.parse(text));
    expect(() => parseStrictJson(Buffer.from(`[${text}]`), 4)).toThrow(TooManyValues);
  },
);

it('refuses ill-formed UTF-8', () => {
  expect(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow();
});

it('reads whatever JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 10 }), (value) => {
      const text = JSON.stringify(value);
      if (text.includes('"__proto__"')) return;
      expect(parse(text)).toEqual(JSON.parse(text));
    }),
  );
});

it('finds a member that is there twice, wherever it is', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.jsonValue({ maxDepth: 3 }),
      fc.jsonValue(),
      (name, inner, other) => {
        const member = `${JSON.stringify(name)}:${JSON.stringify(inner)}`;
        expect(() => parse(`[{${member},"…":${JSON.stringify(other)},${member}}]`)).toThrow();
      },
    ),
  );
});
