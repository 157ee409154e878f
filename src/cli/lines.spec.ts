import { Readable } from 'node:stream';
import fc from 'fast-check';
import { linesOf } from './lines.js';

const linesIn = async (chunks: Buffer[], most: number) => {
  const lines: (string | undefined)[] = [];
  let read = 0;
  for await (const line of linesOf(Readable.from(chunks, { objectMode: true }), most)) {
    expect(line.number).toBe(lines.push(line.bytes?.toString()));
    ({ read } = line);
  }
  return { lines, read };
};

it('gives the same lines however the bytes come', async () => {
  const text = fc.array(fc.constantFrom('a', 'bc', '\n', 'ü')).map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 5 }), async (whole, size) => {
      const bytes = Buffer.from(whole);
      const chunks = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      const expected = whole.split('\n');
      if (expected.at(-1) === '') expected.pop();
      expect(await linesIn(chunks, 1_000)).toEqual({ lines: expected, read: bytes.length });
    }),
  );
});

it('gives nothing of a line that is too long, and goes on with the next', async () => {
  const chunks = ['1234', '\n12345\n', '12', '34', '567\n', '1', '\n12345'].map((text) =>
    Buffer.from(text),
  );
  const { lines } = await linesIn(chunks, 4);
  expect(lines).toEqual(['1234', undefined, undefined, '1', undefined]);
});
