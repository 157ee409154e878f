import type { FastifyRequest } from 'fastify';
import fc from 'fast-check';
import { LatchkeyError } from '../errors.js';
import { bearerToken, uncheckedToken } from './bearer-token.js';

function read(authorization: string): string | undefined {
  const rawHeaders = ['Host', 'x', 'Authorization', authorization];
  return bearerToken({ headers: { authorization }, raw: { rawHeaders } } as FastifyRequest);
}

it('takes any token68 after the scheme, and gives it back exactly', () => {
  const token68 = fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,80}={0,3}$/);
  const scheme = fc.constantFrom('Bearer', 'bearer', 'BEARER', 'bEaReR');
  fc.assert(
    fc.property(scheme, fc.integer({ min: 1, max: 5 }), token68, (name, spaces, token) => {
      expect(read(name + ' '.repeat(spaces) + token)).toBe(token);
    }),
  );
});

it('answers any other header with no token or a refusal, never with a part of it', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.boolean(), (text, prefixed) => {
      const header = prefixed ? `Bearer ${text}` : text;
      if (/^bearer +[A-Za-z0-9._~+/-]+=*$/i.test(header)) return;
      let token: string | undefined;
      try {
        token = read(header);
      } catch (error) {
        expect(error).toBeInstanceOf(LatchkeyError);
      }
      expect(token).toBeUndefined();
    }),
    { numRuns: 1000 },
  );
});

describe('Unchecked', () => {
  const take = (authorization: string | undefined, ...rawHeaders: string[]) =>
    uncheckedToken({ headers: { authorization }, raw: { rawHeaders } } as FastifyRequest);

  it.each(['Bearer a.b.c', 'bearer a.b.c', 'BEARER a.b.c'])(
    'the token of "%s" is the same',
    (text) => {
      expect(take(text)).toBe(read(text));
    },
  );

  it.each([undefined, '', 'Bearer', 'Basic a.b.c'])('there is none in "%s"', (text) => {
    expect(take(text)).toBe('');
  });

  it('there is none where there are two headers', () => {
    expect(take('Bearer a.b.c', 'Authorization', 'Bearer a.b.c', 'authorization', 'x')).toBe('');
  });
});
