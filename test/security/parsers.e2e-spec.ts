import { fastify, type FastifyInstance } from 'fastify';
import fc from 'fast-check';
import { LatchkeyError } from '../../src/errors.js';
import { BODY_LIMIT, useBodyParsers } from '../../src/http/body-parsers.js';

const FORM = 'application/x-www-form-urlencoded';
const MULTIPART = 'multipart/form-data; boundary=x-boundary-x';
const JSON_TYPE = 'application/json';
const RUNS = { numRuns: 300 };

let server: FastifyInstance;
beforeAll(async () => {
  server = fastify({ bodyLimit: BODY_LIMIT });
  useBodyParsers(server);
  server.setErrorHandler((error, _, reply) => {
    const known = error instanceof LatchkeyError;
    return reply
      .code(known ? 400 : ((error as { statusCode?: number }).statusCode ?? 500))
      .send({});
  });
  server.post('/', (request, reply) => reply.send({ read: request.body ?? null }));
  await server.ready();
});
afterAll(() => server.close());

/** What a handler gets to see; where it gets nothing, only the status says so. */
async function read(
  type: string,
  body: Buffer | string,
): Promise<{ status: number; read?: unknown }> {
  const { statusCode: status, payload } = await server.inject({
    method: 'POST',
    url: '/',
    headers: { 'content-type': type },
    payload: body,
  });
  return { status, ...(JSON.parse(payload) as { read?: unknown }) };
}

const REFUSED = { status: 400 };

const name = fc.stringMatching(/^[a-z][a-z_]{0,11}$/);
const value = fc.string({ unit: 'grapheme', maxLength: 40 });
const fields = fc.dictionary(name, value, { maxKeys: 8, minKeys: 1 });

const asForm = (entries: readonly (readonly [string, string])[]) =>
  new URLSearchParams(entries.map(([key, text]): [string, string] => [key, text])).toString();
const part = (key: string, text: string, more = '') =>
  `--x-boundary-x\r\nContent-Disposition: form-data; name="${key}"${more}\r\n\r\n${text}\r\n`;
const END = '--x-boundary-x--\r\n';
const asMultipart = (entries: readonly (readonly [string, string])[]) =>
  entries.map(([key, text]) => part(key, text)).join('') + END;

const ENCODINGS = [
  [JSON_TYPE, (entries: [string, string][]) => JSON.stringify(Object.fromEntries(entries))],
  [FORM, asForm],
  [MULTIPART, asMultipart],
] as const;

describe.each(ENCODINGS)('A body of type %s', (type, encode) => {
  it('is read as it was written', () =>
    fc.assert(
      fc.asyncProperty(fields, async (written) => {
        expect(await read(type, encode(Object.entries(written)))).toEqual({
          status: 200,
          read: { ...written },
        });
      }),
      RUNS,
    ));

  it('is refused, not mended, when one byte in it is no UTF-8', () =>
    fc.assert(
      fc.asyncProperty(
        fields,
        fc.nat(),
        fc.constantFrom(0xff, 0xc0, 0xfe),
        async (written, at, byte) => {
          const body = Buffer.from(encode(Object.entries(written)));
          const place = at % (body.length + 1);
          const broken = Buffer.concat([
            body.subarray(0, place),
            Buffer.from([byte]),
            body.subarray(place),
          ]);
          expect(await read(type, broken)).toEqual(REFUSED);
        },
      ),
      RUNS,
    ));

  it('is refused, or read as what is left of it, when it is cut short', () =>
    fc.assert(
      fc.asyncProperty(fields, fc.nat(), async (written, at) => {
        const body = Buffer.from(encode(Object.entries(written)));
        const cut = body.subarray(0, at % body.length);
        const { status, read: found } = await read(type, cut);
        if (status === 400) return;
        expect(status).toBe(200);
        if (found === null) return expect(cut).toHaveLength(0);
        // Only the end of the line after the end can be missing.
        if (type !== FORM) return expect([type, found]).toEqual([MULTIPART, { ...written }]);
        // A form has no end: what is cut is a shorter form.
        const bare = (form: string) => form.replace(/[=&]+$/, '');
        expect(bare(asForm(Object.entries(found as object)))).toBe(bare(cut.toString()));
      }),
      RUNS,
    ));

  it('is a value or a refusal, never a failure, whatever the bytes', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, framed) => {
        const body = Buffer.from(bytes);
        const around = Buffer.from(encode([['a', '']]));
        const half = Math.floor(around.length / 2);
        const { status } = await read(
          type,
          framed ? Buffer.concat([around.subarray(0, half), body, around.subarray(half)]) : body,
        );
        expect([200, 400]).toContain(status);
      }),
      RUNS,
    ));

  it('beyond 16 kB is 413', async () => {
    expect(await read(type, encode([['a', 'x'.repeat(BODY_LIMIT)]]))).toEqual({ status: 413 });
  });
});

describe('A name that is there twice is refused,', () => {
  const twice = fc.tuple(fields, fc.nat(), fc.nat(), value);

  it.each([
    [
      'in JSON',
      JSON_TYPE,
      (entries: [string, string][]) =>
        `{${entries.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`).join()}}`,
    ],
    ['in a form', FORM, asForm],
    ['in a multipart form', MULTIPART, asMultipart],
  ])('%s', (_, type, encode) =>
    fc.assert(
      fc.asyncProperty(twice, async ([written, which, where, second]) => {
        const entries = Object.entries(written);
        const again = entries[which % entries.length]![0];
        entries.splice(where % (entries.length + 1), 0, [again, second]);
        expect(await read(type, encode(entries))).toEqual(REFUSED);
      }),
      RUNS,
    ),
  );
});

it('A file is refused wherever it stands in a multipart form', () =>
  fc.assert(
    fc.asyncProperty(fields, fc.nat(), value, async (written, where, content) => {
      const parts = Object.entries(written).map(([key, text]) => part(key, text));
      parts.splice(where % (parts.length + 1), 0, part('file', content, '; filename="a.txt"'));
      expect(await read(MULTIPART, parts.join('') + END)).toEqual(REFUSED);
    }),
    RUNS,
  ));

describe('A part of a multipart form that calls itself', () => {
  const odd = (header: string, text: string) =>
    `--x-boundary-x\r\nContent-Disposition: form-data; name="a"\r\n${header}\r\n\r\n${text}\r\n${END}`;
  it.each([
    'text/plain; charset=latin1',
    'text/plain; charset="utf-16le"',
    'text/plain;charset=ucs2',
    'text/plain; format=flowed; charset=base64',
    'text/plain;\r\n charset=latin1',
    'text/plain; charset=utf-7',
    'text/plain; charset=utf-8x',
    'text/plain; charset',
  ])('%j is refused', async (type) => {
    expect(await read(MULTIPART, odd(`Content-Type: ${type}`, 'YWxpY2U='))).toEqual(REFUSED);
    expect(await read(MULTIPART, odd(`content-type:${type}`, 'YWxpY2U='))).toEqual(REFUSED);
  });

  it.each([
    'Content-Type: text/plain; charset=utf-8',
    'Content-Type: text/plain; charset="UTF-8"',
    'Content-Type: text/plain; charset=utf8; format=flowed',
    'Content-Type: text/plain',
    'Content-Transfer-Encoding: base64',
  ])('%j is read as the UTF-8 that it is', async (header) => {
    expect((await read(MULTIPART, odd(header, 'YWxpY2U=ü'))).read).toEqual({ a: 'YWxpY2U=ü' });
  });
});

it('A multipart form takes no longer for line separators that begin no header', async () => {
  const milliseconds = async (separator: string) => {
    const body = part('a', `content-type:${separator}`.repeat(512) + '; '.repeat(4000)) + END;
    const times: number[] = [];
    for (let run = 0; run < 20; run++) {
      const startedAt = performance.now();
      expect((await read(MULTIPART, body)).status).toBe(200);
      times.push(performance.now() - startedAt);
    }
    return Math.min(...times);
  };
  expect(await milliseconds('\u2028')).toBeLessThan(5 * (await milliseconds('\u2026')));
});
