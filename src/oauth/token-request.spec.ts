import fc from 'fast-check';
import { LatchkeyError } from '../errors.js';
import { parseTokenRequest } from './token-request.js';

const CODES = ['request_malformed', 'grant_unsupported', 'scope_invalid'];

it('turns any body into a complete request or a named error, never into anything else', () => {
  const parameter = fc.oneof(
    fc.string(),
    fc.jsonValue(),
    fc.constantFrom('password', 'refresh_token'),
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        grant_type: parameter,
        username: parameter,
        password: parameter,
        scope: parameter,
        refresh_token: parameter,
      },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(body, (value) => {
      try {
        const request = parseTokenRequest(value);
        const texts =
          request.grant === 'password'
            ? [request.username, request.password]
            : [request.refreshToken];
        for (const text of texts) {
          expect(typeof text === 'string' && text !== '' && text.isWellFormed()).toBe(true);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(LatchkeyError);
        expect(CODES).toContain((error as LatchkeyError).code);
      }
    }),
    { numRuns: 1000 },
  );
});

it('reads a scope as RFC 6749 writes it, each one once', () => {
  const token = fc.stringMatching(/^[!#-[\]-~]{1,10}$/);
  fc.assert(
    fc.property(fc.array(token, { minLength: 1 }), (scopes) => {
      const { scopes: read } = parseTokenRequest({
        username: 'a',
        password: 'b',
        scope: scopes.join(' '),
      });
      expect(read).toEqual([...new Set(scopes)]);
    }),
  );
});
