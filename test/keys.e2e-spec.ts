import { createPublicKey, type JsonWebKey, randomUUID, verify } from 'node:crypto';
import { KeyRotation } from '../src/keys/key-rotation.js';
import { Keyring } from '../src/keys/keyring.js';
import { RevocationFeed } from '../src/revocation/revocation-feed.js';
import { Revocations } from '../src/revocation/revocations.js';
import { startApp, type TestApp, urlOf } from './support/app.js';
import { bearer, call, newLogin, openSession, refresh, register } from './support/client.js';
import { DATABASES } from './support/databases.js';
import { exchange } from './support/raw-answer.js';
import { parts } from './support/tokens.js';

const OLD = 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN';
const NEW = 'p2Zx8vQe6TnWc4LrYk0Ju7DsGa1MfBhO9iEtRwSyXlC';
const PUBLISHED_BEFORE = 900;
const TTL = 1800;

describe.each(DATABASES)('signing keys on %s', (database) => {
  let app: TestApp;
  const start = async (environment: Record<string, string> = {}) => {
    app = await startApp({
      database,
      environment: { KEY_ENCRYPTION_SECRET: OLD, ...environment },
    });
  };
  afterEach(() => app.close());

  const rotation = () => app.nest.get(KeyRotation, { strict: false });
  const published = async () =>
    (await call<{ keys: (JsonWebKey & { kid: string })[] }>(app, '/.well-known/jwks.json')).body
      .keys;
  const kids = async () => (await published()).map(({ kid }) => kid).sort();
  const kidOf = (token: string) => parts(token).header['kid'] as string;
  const code = async (token: string): Promise<unknown> => {
    const { status, body } = await call(app, '/secure-data', bearer(token));
    return status === 200 ? 'ok' : body['code'];
  };

  it('rotate without anybody noticing: published, then signing, then gone', async () => {
    await start();
    const user = await register(app);
    const first = await openSession(app, user);
    const before = await kids();
    expect(before).toHaveLength(2);

    await rotation().rotate('cli');
    await app.advance(0);
    expect(await kids()).toEqual(expect.arrayContaining(before));
    expect(await kids()).toHaveLength(3);
    await app.advance(PUBLISHED_BEFORE - 1);
    const { body: last } = await refresh(app, first.refresh_token);
    expect(kidOf(last.access_token)).toBe(kidOf(first.access_token));

    await app.advance(1);
    const { body: next } = await refresh(app, last.refresh_token);
    expect(before).toContain(kidOf(next.access_token)); // it was the standby, known all along
    expect(kidOf(next.access_token)).not.toBe(kidOf(last.access_token));
    expect([await code(last.access_token), await code(next.access_token)]).toEqual(['ok', 'ok']);

    await app.advance(TTL + 59);
    expect(await kids()).toContain(kidOf(first.access_token));
    await app.advance(1);
    expect(await kids()).not.toContain(kidOf(first.access_token));
    expect(await kids()).toHaveLength(2);
    expect(await code(first.access_token)).toBe('token_invalid');
  });

  it('stay for as long as the longest token that they signed, whatever the setting is now', async () => {
    await start({ ACCESS_TOKEN_TTL: '12h' });
    const { token } = await newLogin(app);
    const DATABASE_URL = urlOf(app);
    await app.close();
    await start({ DATABASE_URL, ACCESS_TOKEN_TTL: '5m' });
    await rotation().rotate('cli');
    await app.advance(PUBLISHED_BEFORE + 3600);
    expect(await code(token)).toBe('ok');
    await app.advance(11 * 3600 + 60);
    expect(await kids()).not.toContain(kidOf(token));
  });

  it('are not rotated while the last rotation waits', async () => {
    await start();
    await rotation().rotate('cli');
    await expect(rotation().rotate('cli')).rejects.toThrow(
      /^A rotation is under way: .* signs from/,
    );
    await app.advance(PUBLISHED_BEFORE);
    await rotation().rotate('cli');
  });

  it('that wait for their time take the place of a lost one, before any that is less known', async () => {
    await start();
    const user = await register(app);
    const first = await openSession(app, user);
    const known = (await kids()).filter((kid) => kid !== kidOf(first.access_token));
    await rotation().rotate('cli');
    await rotation().replaceCompromised('cli', false);
    await app.advance(0);
    const { body } = await refresh(app, first.refresh_token);
    expect(known).toEqual([kidOf(body.access_token)]);
    expect(await kids()).toHaveLength(2);
  });

  it('that are compromised end at once: access tokens die, refresh tokens live', async () => {
    await start();
    const user = await register(app);
    const first = await openSession(app, user);
    expect(await code(first.access_token)).toBe('ok'); // and so it is remembered
    await rotation().replaceCompromised('cli', false);
    await app.advance(0);
    expect(await code(first.access_token)).toBe('token_revoked');
    expect(await kids()).not.toContain(kidOf(first.access_token));
    const { body } = await refresh(app, first.refresh_token);
    expect(await code(body.access_token)).toBe('ok');

    const known = await kids();
    await rotation().replaceCompromised('cli', true);
    await app.advance(0);
    expect((await kids()).filter((kid) => known.includes(kid))).toEqual([]);
    expect(await code(body.access_token)).toBe('token_revoked');
    const { body: again } = await refresh(app, body.refresh_token);
    expect(await code(again.access_token)).toBe('ok');
    const events = await app.db
      .selectFrom('audit')
      .select('event')
      .where('event', 'like', 'key%')
      .execute();
    expect(events.map(({ event }) => event)).toEqual(['key_withdrawn', 'key_withdrawn']);
  });

  it('are put under a new secret, and the old one can be dropped', async () => {
    await start();
    const { token } = await newLogin(app);
    const DATABASE_URL = urlOf(app);
    await app.close();
    await start({ DATABASE_URL, KEY_ENCRYPTION_SECRET: NEW, KEY_ENCRYPTION_SECRET_PREVIOUS: OLD });
    expect(await rotation().reencrypt('cli')).toBe(2);
    expect(await rotation().reencrypt('cli')).toBe(0);
    await app.close();
    await start({ DATABASE_URL, KEY_ENCRYPTION_SECRET: NEW });
    expect(await code(token)).toBe('ok');
  });

  it('make one rotation of many at once', async () => {
    await start();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => rotation().rotate('cli')),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await app.advance(0);
    expect(await kids()).toHaveLength(3);
  });

  it('are published as services expect them, each by a kid of its own', async () => {
    await start();
    await rotation().rotate('cli');
    await app.advance(0);
    const { headers } = await call(app, '/.well-known/jwks.json');
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toBe('public, max-age=300');
    const keys = await published();
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(3);
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' });
    }
  });

  it('and all else are found where ISSUER says, whatever host a request names', async () => {
    const path = '/.well-known/oauth-authorization-server';
    const settings: Record<string, string>[] = [{}, { TRUST_PROXY: '1' }];
    for (const environment of settings) {
      await start(environment);
      const hostile =
        'Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n' +
        'Forwarded: host=evil.example\r\nX-Forwarded-For: 203.0.113.9\r\n';
      const [answer] = await exchange(app, `GET ${path} HTTP/1.1\r\n${hostile}\r\n`);
      expect(answer!.body).toEqual((await call(app, path)).body);
      const { issuer, ...others } = answer!.body;
      expect(issuer).toBe(app.config.issuer);
      expect(parts((await newLogin(app)).token).claims['iss']).toBe(issuer);
      const places = Object.values(others).filter((value) => typeof value === 'string');
      expect(places).toHaveLength(6);
      for (const place of places) expect(new URL(place).origin).toBe(issuer);
      await app.close();
    }
  });

  describe('GET /revocations', () => {
    interface Statement {
      iss: string;
      iat: number;
      exp: number;
      sessions: string[];
      tokens: string[];
      users: Record<string, number>;
      keys: string[];
    }
    const read = async (): Promise<Statement> => {
      const { text, headers } = await call(app, '/revocations');
      expect(headers.get('content-type')).toBe('application/jwt');
      const { header, signature } = parts(text);
      expect(header).toMatchObject({ alg: 'ES256', typ: 'revocations+jwt' });
      const key = (await published()).find(({ kid }) => kid === header['kid'])!;
      const input = text.slice(0, text.lastIndexOf('.'));
      const publicKey = {
        key: createPublicKey({ key, format: 'jwk' }),
        dsaEncoding: 'ieee-p1363' as const,
      };
      expect(
        verify('sha256', Buffer.from(input), publicKey, Buffer.from(signature, 'base64url')),
      ).toBe(true);
      return parts(text).claims as unknown as Statement;
    };
    const sha256 = async (text: unknown) =>
      Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(String(text)))).toString(
        'base64url',
      );

    it('says what is refused, by hashes alone, for two minutes', async () => {
      await start();
      const [session, token, user] = [
        await newLogin(app),
        await newLogin(app),
        await newLogin(app),
      ];
      const [sid, jti, sub] = [
        parts(session.token).claims['sid'],
        parts(token.token).claims['jti'],
        parts(user.token).claims['sub'],
      ];
      expect(await read()).toMatchObject({ sessions: [], tokens: [], users: {}, keys: [] });
      await call(app, '/logout', bearer(session.token, { method: 'POST' }));
      await call(app, '/revoke', {
        method: 'POST',
        body: new URLSearchParams({ token: token.token }),
      });
      await call(app, '/users/me', bearer(user.token, { method: 'DELETE' }));
      const statement = await read();
      expect(statement).toEqual({
        iss: app.config.issuer,
        iat: app.clock.seconds(),
        exp: app.clock.seconds() + 120,
        sessions: [await sha256(sid)],
        tokens: [await sha256(jti)],
        users: { [await sha256(sub)]: 2 },
        keys: [],
      });
      const withdrawn = app.nest.get(Keyring, { strict: false }).signingKey().kid;
      await rotation().replaceCompromised('cli', false);
      await app.advance(0);
      expect((await read()).keys).toEqual([withdrawn]);
      await app.advance(TTL + 66);
      expect(await read()).toMatchObject({ sessions: [], tokens: [], users: {} });
    });

    it('is signed anew after half a minute, and is not sent twice to who has it', async () => {
      await start();
      const first = await call(app, '/revocations');
      const etag = first.headers.get('etag')!;
      const again = await call(app, '/revocations', {
        headers: { 'if-none-match': `W/"x", ${etag}` },
      });
      expect([again.status, again.text]).toEqual([304, '']);
      await app.advance(29);
      expect((await call(app, '/revocations')).headers.get('etag')).toBe(etag);
      await app.advance(1);
      const renewed = await call(app, '/revocations', { headers: { 'if-none-match': etag } });
      expect(renewed.status).toBe(200);
      expect(parts(renewed.text).claims['exp']).toBe(app.clock.seconds() + 120);
    });

    it('is the same bytes in memory for all who read it', async () => {
      await start();
      const feed = app.nest.get(RevocationFeed, { strict: false });
      const { jwt } = feed.current();
      expect(jwt).toBeInstanceOf(Buffer);
      expect(feed.current().jwt).toBe(jwt);
      expect((await call(app, '/revocations')).text).toBe(jwt.toString());
    });

    describe('with more than 10,000 entries', () => {
      const revocations = () => app.nest.get(Revocations, { strict: false });
      const etag = async () => (await call(app, '/revocations')).headers.get('etag');
      const revokeUsers = (count: number) =>
        revocations().transaction(async (_, revoke) => {
          const expiresAt = app.clock.now() + TTL * 1000;
          const user = () => ({ kind: 'sub', subject: randomUUID(), gen: 2, expiresAt }) as const;
          for (let left = count; left > 0; left -= 1_000) {
            await revoke(Array.from({ length: Math.min(left, 1_000) }, user));
          }
        });

      it('is signed once a second at most', async () => {
        await start();
        await revokeUsers(10_001);
        const first = await etag();
        await revokeUsers(1);
        await app.advance(0.9);
        expect(await etag()).toBe(first);
        await app.advance(0.1);
        expect(await etag()).not.toBe(first);
      });

      it('is signed at once when a key is withdrawn', async () => {
        await start();
        await revokeUsers(10_001);
        const withdrawn = kidOf((await call(app, '/revocations')).text);
        await rotation().replaceCompromised('cli', false);
        await app.advance(0);
        expect((await read()).keys).toEqual([withdrawn]);
      });

      it.each([
        { took: 0.5, rest: 10 },
        { took: 5, rest: 30 },
      ])('rests for $rest s when signing took $took s', async ({ took, rest }) => {
        await start();
        await revokeUsers(10_001);
        const snapshot = revocations().snapshot.bind(revocations());
        revocations().snapshot = () => {
          app.clock.advance(took);
          return snapshot();
        };
        const first = await etag();
        await revokeUsers(1);
        await app.advance(rest - 1);
        expect(await etag()).toBe(first);
        await app.advance(1);
        expect(await etag()).not.toBe(first);
      });
    });

    it('is not there with JWT_SECRET, and stands in the metadata otherwise', async () => {
      await start();
      const metadata = () => call(app, '/.well-known/oauth-authorization-server');
      expect((await metadata()).body['revocation_feed_uri']).toBe(
        `${app.config.issuer}/revocations`,
      );
      await app.close();
      await start({ JWT_SECRET: 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e' });
      expect((await call(app, '/revocations')).status).toBe(404);
      expect((await metadata()).body).not.toHaveProperty('revocation_feed_uri');
      expect(await published()).toEqual([]);
      await expect(rotation().rotate('cli')).rejects.toThrow('JWT_SECRET');
    });

    it('fails closed when the revocations could not be read for too long', async () => {
      await start();
      app.clock.advance(61);
      for (const path of ['/revocations', '/.well-known/jwks.json']) {
        const { status, headers } = await call(app, path);
        expect([status, headers.get('cache-control')]).toEqual([503, 'no-store']);
      }
    });
  });
});
