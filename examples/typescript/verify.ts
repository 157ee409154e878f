// Checks the access tokens of a Latchkey without asking it, and follows its revocation feed.
// Copy this file into your service: Node 20.19 or later, and `npm install jose`.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
} from 'jose';

/** Whose token it is. Key your data on `id`: a name can be given to somebody else one day. */
export interface User {
  id: string;
  username: string;
  scopes: string[];
}

/** The token is no good: answer 401. */
export class TokenRefused extends Error {}
/** Whether it is good cannot be told at the moment: answer 503, and let nobody in. */
export class CannotTell extends Error {}

const LEEWAY = 5; // seconds by which two clocks may differ
const LONGEST = 86_400; // seconds that Latchkey lets a token live, at the most
const POLL_EVERY = 1_000; // milliseconds, as all below
const JWKS_KEPT_FOR = 300_000;
const UNKNOWN_KID_REFETCH_EVERY = 1_000; // anyone can invent a kid
const PATIENCE = 5_000;

/** What is refused at the moment; hashes are base64url of SHA-256. */
interface Statement {
  iat: number;
  exp: number;
  sessions: Set<string>;
  tokens: Set<string>;
  users: Map<string, number>;
  keys: Set<string>;
}

type Keys = ReturnType<typeof createRemoteJWKSet>;

export class Latchkey {
  readonly #issuer: string;
  readonly #audience: string;
  #keys: Keys | undefined;
  #keysReadAt = 0;
  #feed = '';
  #etag = '';
  #statement: Statement | undefined;
  #fault = '';

  /**
   * @param issuer as in Latchkey's `ISSUER`: every character counts
   * @param audience this service, as in Latchkey's `AUDIENCES`
   */
  constructor(issuer: string, audience: string) {
    this.#issuer = issuer;
    this.#audience = audience;
  }

  /** Reads the feed, and goes on in the background. It does not fail: `check` does, until it is read. */
  async follow(): Promise<void> {
    await this.#poll();
    void (async () => {
      for (;;) {
        await sleep(POLL_EVERY, undefined, { ref: false });
        await this.#poll();
      }
    })();
  }

  /** @throws TokenRefused, CannotTell */
  async check(token: string): Promise<User> {
    const { payload, kid } = await this.#verified(token, 'at+jwt', { audience: this.#audience });
    const { sub, jti, sid, gen, username, scope, iat, exp } = payload;
    if (!isText(sub) || !isText(jti) || !isText(sid) || !isText(username)) {
      throw new TokenRefused('A claim is missing');
    }
    if (!Number.isSafeInteger(gen) || typeof scope !== 'string' || exp! - iat! > LONGEST) {
      throw new TokenRefused('A claim is not as it should be');
    }
    const refused = this.#statement;
    // Fails closed: whoever can keep us from the feed must not undo a revocation by it.
    if (refused === undefined || refused.exp <= Date.now() / 1000) {
      throw new CannotTell('There is no revocation statement that is still good');
    }
    if (
      refused.keys.has(kid) ||
      refused.sessions.has(sha256(sid)) ||
      refused.tokens.has(sha256(jti)) ||
      (gen as number) < (refused.users.get(sha256(sub)) ?? 0)
    ) {
      throw new TokenRefused('The token was revoked');
    }
    return { id: sub, username, scopes: scope.split(' ') };
  }

  /** A JWT of the issuer: an access token, or the feed. `typ` keeps one from passing for the other. */
  async #verified(
    jwt: string,
    typ: string,
    options: JWTVerifyOptions = {},
  ): Promise<JWTVerifyResult & { kid: string }> {
    let kid = '';
    const keyOf: JWTVerifyGetKey = async (header, jws) => {
      if (this.#keys === undefined) throw new CannotTell('The metadata was not read yet');
      // Nothing that brings a key along (jwk, jku, x5u) or changes what is signed (crit, b64).
      const others = Object.keys(header).filter((name) => !['alg', 'typ', 'kid'].includes(name));
      if (others.length > 0 || !isText(header.kid)) throw new TokenRefused('A strange header');
      kid = header.kid;
      try {
        return await this.#keys(header, jws); // the key of this `kid` with this `alg`, or none
      } catch (error) {
        if (error instanceof errors.JWKSNoMatchingKey) throw error;
        throw new CannotTell('The keys cannot be fetched', { cause: error });
      }
    };
    try {
      const result = await jwtVerify(jwt, keyOf, {
        typ,
        algorithms: ['ES256', 'RS256'],
        issuer: this.#issuer,
        requiredClaims: ['exp'],
        maxTokenAge: LONGEST, // and `iat` is there, and not in the future
        clockTolerance: LEEWAY,
        ...options,
      });
      return { ...result, kid };
    } catch (error) {
      if (error instanceof CannotTell) throw error;
      throw new TokenRefused((error as Error).message, { cause: error });
    }
  }

  async #poll(): Promise<void> {
    try {
      const keys = (this.#keys ??= await this.#readMetadata());
      const answer = await get(this.#feed, this.#etag);
      if (answer.status === 200)
        await this.#accept(await answer.text(), answer.headers.get('etag'));
      this.#fault = '';
      if (performance.now() - this.#keysReadAt < JWKS_KEPT_FOR) return;
      this.#keysReadAt = performance.now();
      await keys.reload();
    } catch (error) {
      // The keys we have go on, and the statement until its `exp`.
      const fault = String(error);
      if (fault !== this.#fault) console.warn(`The revocation feed could not be read: ${fault}`);
      this.#fault = fault;
    }
  }

  /** RFC 8414. */
  async #readMetadata(): Promise<Keys> {
    const answer = await get(`${this.#issuer}/.well-known/oauth-authorization-server`);
    const metadata = (await answer.json()) as Record<string, string | undefined>;
    const { issuer, jwks_uri, revocation_feed_uri } = metadata;
    if (issuer !== this.#issuer) throw new Error(`It calls itself ${issuer}`);
    if (jwks_uri === undefined || revocation_feed_uri === undefined) {
      throw new Error('It has no public keys (JWT_SECRET is set): ask /introspect instead');
    }
    this.#feed = revocation_feed_uri;
    this.#keysReadAt = performance.now();
    return createRemoteJWKSet(new URL(jwks_uri), {
      cacheMaxAge: Infinity, // read again in the background: no request waits for it
      cooldownDuration: UNKNOWN_KID_REFETCH_EVERY,
      timeoutDuration: PATIENCE,
    });
  }

  async #accept(jwt: string, etag: string | null): Promise<void> {
    const { payload, kid } = await this.#verified(jwt, 'revocations+jwt');
    const { iat, exp, sessions, tokens, users, keys } = payload as JWTPayload & Lists;
    const before = this.#statement;
    // A withdrawn key is in the hands of somebody else, who would sign that nothing is revoked.
    if (keys.includes(kid) || before?.keys.has(kid)) throw new Error('Signed by a withdrawn key');
    // An old statement, played again, would undo what came after it.
    if (before !== undefined && iat < before.iat) throw new Error('Older than the one before');
    this.#statement = {
      iat,
      exp,
      sessions: new Set(sessions),
      tokens: new Set(tokens),
      users: new Map(Object.entries(users)),
      keys: new Set(keys),
    };
    this.#etag = etag ?? '';
  }
}

interface Lists {
  iat: number;
  exp: number;
  sessions: string[];
  tokens: string[];
  users: Record<string, number>;
  keys: string[];
}

/** @throws Error for anything but 200, or 304 with an entity tag */
async function get(url: string, etag = ''): Promise<Response> {
  const answer = await fetch(url, {
    headers: etag === '' ? {} : { 'if-none-match': etag },
    redirect: 'error',
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.status === 200 || (answer.status === 304 && etag !== '')) return answer;
  throw new Error(`${url} answered ${answer.status}`);
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');
