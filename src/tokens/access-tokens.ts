import { randomUUID, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { LRUCache } from 'lru-cache';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { tokenExpired, tokenRevoked } from '../errors.js';
import { Keyring } from '../keys/keyring.js';
import type { VerificationKey } from '../keys/signing-key.js';
import { tokensIssued } from '../metrics/metrics.js';
import { Revocations } from '../revocation/revocations.js';
import { scopesIn } from '../roles.js';
import { type AccessTokenClaims, checkClaims, CLIENT_ID, isExpired, LEEWAY } from './claims.js';
import { decodeSegment, formFault } from './compact-form.js';
import { invalid, quote, withdrawn } from './fault.js';
import type { SessionPrincipal } from './principal.js';

/** A token of 2 kB at most, so that the whole cache stays below some 20 MB. */
const CACHE_SIZE = 10_000;
const MAX_CACHED_LENGTH = 2048;

/** The JOSE header parameters an access token has, and no others (`crit`, `jwk`, `jku`, ...). */
const HEADER_PARAMETERS = new Set(['alg', 'typ', 'kid']);
const MEDIA_TYPES = new Set(['at+jwt', 'application/at+jwt']);

const NOT_AN_OBJECT = 'it is not a JSON object in UTF-8 that has each member once';

interface Verified {
  token: string;
  claims: Readonly<AccessTokenClaims>;
  principal: SessionPrincipal;
  kid: string;
  /** The key that verified it: another one under the same `kid` would not count. */
  key: KeyObject;
}

/** For whom a token is issued, and by what right. */
export interface Grant {
  user: { id: string; username: string; gen: number };
  session: { id: string; authTime: number };
  /** What this token may do. */
  scopes: readonly string[];
  audience: string;
  /** Epoch seconds, fixed before the session's row is written. */
  issuedAt: number;
  expiresAt: number;
}

/**
 * Issues access tokens and judges them. Verification takes three calls, since passport-jwt
 * checks the signature between them: `keyFor` (the header), then the signature, then `accept`
 * (the claims, revocation). `recall` answers for a token that went through all of it before.
 */
@Injectable()
export class AccessTokens {
  readonly #verified = new LRUCache<string, Verified>({ max: CACHE_SIZE });

  constructor(
    private readonly jwt: JwtService,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly keyring: Keyring,
    private readonly revocations: Revocations,
  ) {}

  /**
   * The times of a token issued now, fixed before anything is written about it; seconds.
   * @throws temporarily_unavailable while none could be signed: what is written would be for nothing
   */
  lifetime(): { issuedAt: number; expiresAt: number } {
    this.keyring.signingKey();
    const issuedAt = this.clock.seconds();
    return { issuedAt, expiresAt: issuedAt + this.config.accessTokenTtl };
  }

  /** A signed access token (RFC 9068). */
  issue({ user, session, scopes, audience, issuedAt, expiresAt }: Grant): string {
    const claims: AccessTokenClaims = {
      iss: this.config.issuer,
      sub: user.id,
      aud: audience,
      client_id: CLIENT_ID,
      iat: issuedAt,
      exp: expiresAt,
      auth_time: authTimeAt(session.authTime, issuedAt),
      jti: randomUUID(),
      sid: session.id,
      scope: scopes.join(' '),
      gen: user.gen,
      username: user.username,
    };
    const { sign, algorithm, kid } = this.keyring.signingKey();
    tokensIssued.inc();
    return this.jwt.sign(claims, {
      privateKey: sign,
      algorithm,
      header: { alg: algorithm, typ: 'at+jwt', kid },
    });
  }

  /**
   * Who a token speaks for, if it was verified before and nothing has changed since.
   * @throws token_expired, token_revoked, temporarily_unavailable
   */
  recall(token: string): SessionPrincipal | undefined {
    const known = this.#verified.get(cacheKey(token));
    if (known?.token !== token) return undefined;
    if (this.keyring.verificationKey(known.kid)?.verify !== known.key) {
      this.#verified.delete(cacheKey(token));
      return undefined;
    }
    if (isExpired(known.claims, this.clock.seconds())) throw tokenExpired();
    if (this.revocations.isRevoked(known.claims)) throw tokenRevoked();
    return known.principal;
  }

  /**
   * The key that must have signed this token, and the one algorithm it may be used with.
   * @throws token_invalid for any header that is not exactly ours
   */
  keyFor(token: string): VerificationKey {
    const fault = formFault(token);
    if (fault !== undefined) throw invalid('form', fault);
    const header = decodeSegment(token, 0);
    if (header === undefined) throw invalid('header', NOT_AN_OBJECT);
    const { alg, typ, kid } = header;
    if (typeof kid !== 'string') throw invalid('header', `kid is ${quote(kid)}`);
    if (typeof typ !== 'string' || !MEDIA_TYPES.has(typ.toLowerCase())) {
      throw invalid('header', `typ is ${quote(typ)}, not "at+jwt"`);
    }
    const foreign = Object.keys(header).find((name) => !HEADER_PARAMETERS.has(name));
    if (foreign !== undefined)
      throw invalid('header', `it has ${quote(foreign)}, which ours never have`);
    const key = this.keyring.verificationKey(kid);
    if (key === undefined && this.keyring.withdrawn().includes(kid)) {
      throw withdrawn(`the key ${kid} was withdrawn`);
    }
    if (key === undefined) throw invalid('key', `no key in use has the kid ${quote(kid)}`);
    if (alg !== key.algorithm) {
      throw invalid(
        'key',
        `alg is ${quote(alg)}, and the key ${kid} is for ${key.algorithm} alone`,
      );
    }
    return key;
  }

  /**
   * Judges a token whose signature was proven, and remembers it.
   * @throws token_invalid, token_expired, token_revoked, temporarily_unavailable
   */
  accept(token: string): SessionPrincipal {
    const { kid, verify } = this.keyFor(token);
    const payload = decodeSegment(token, 1);
    if (payload === undefined) throw invalid('claims', NOT_AN_OBJECT);
    const { issuer } = this.config;
    const now = this.clock.seconds();
    const claims = Object.freeze(checkClaims(payload, { issuer, audiences: [issuer], now }));
    if (this.revocations.isRevoked(claims)) throw tokenRevoked();
    const principal = toPrincipal(claims);
    if (token.length <= MAX_CACHED_LENGTH) {
      this.#verified.set(cacheKey(token), { token, claims, principal, kid, key: verify });
    }
    return principal;
  }
}

/**
 * The end of the signature: short, since a text is hashed as a whole to be looked up. Tokens that
 * end alike only take each other's place, as what is found is compared to its last character.
 */
function cacheKey(token: string): string {
  return token.slice(-32);
}

/**
 * A login that is in the future, since the clock was set back, was at a time that is not known: such
 * a token would be refused, and a recent login is not what it may say. All are epoch seconds.
 */
function authTimeAt(authTime: number, issuedAt: number): number {
  return authTime > issuedAt + LEEWAY ? 0 : authTime;
}

function toPrincipal(claims: AccessTokenClaims): SessionPrincipal {
  return Object.freeze({
    id: claims.sub,
    username: claims.username,
    scopes: Object.freeze(scopesIn(claims.scope)),
    sessionId: claims.sid,
    tokenId: claims.jti,
    authTime: claims.auth_time,
  });
}
