import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Keyring } from '../keys/keyring.js';
import { Revocations } from './revocations.js';

/** Seconds that a statement is good for: whoever cannot get a newer one trusts no token. */
const LIFETIME = 120;
/** Milliseconds: it is signed anew after so long, though nothing has changed. */
const RENEWED_AFTER = 30_000;
/**
 * One with more entries is signed once a second at most, however fast it changes, and so seldom
 * that it takes a twentieth of the time: nothing else runs meanwhile.
 */
const LARGE = 10_000;
const LARGE_RENEWED_AFTER = 1_000;
const LARGE_REST = 20;

/** Everything that must be refused at this moment; hashes are base64url of SHA-256. */
interface Statement {
  iss: string;
  iat: number;
  exp: number;
  /** Hashes of `sid`. */
  sessions: string[];
  /** Hashes of `jti`. */
  tokens: string[];
  /** By the hash of a `sub`: tokens with a lower `gen` are refused. */
  users: Record<string, number>;
  /** `kid`s that were withdrawn. */
  keys: string[];
}

export interface SignedStatement {
  /** Bytes, which all answers share: of a string, each connection that is slow to read has a copy. */
  jwt: Buffer;
  /** An entity tag (RFC 9110 section 8.8.3). */
  etag: string;
}

interface Signed extends SignedStatement {
  signedAt: number;
  /** Milliseconds for which it is good though more is revoked by now. */
  rest: number;
  version: number;
  keys: string;
}

/**
 * The revocation feed for services that check tokens without asking: a JWT of all that is refused,
 * a snapshot, since a revocation lives about as long as an access token. Whoever reads it learns
 * nothing of a token that they have not been sent.
 */
@Injectable()
export class RevocationFeed {
  #current: Signed | undefined;
  #hashes = new Map<string, string>();

  constructor(
    private readonly jwt: JwtService,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly keyring: Keyring,
    private readonly revocations: Revocations,
  ) {}

  /** @throws temporarily_unavailable while the memory or the keys are stale */
  current(): SignedStatement {
    const { kid } = this.keyring.signingKey();
    const withdrawn = this.keyring.withdrawn();
    const keys = `${kid} ${withdrawn.join()}`;
    const { version } = this.revocations;
    const known = this.#current;
    const askedAt = this.clock.monotonic();
    if (known?.keys === keys) {
      const good = known.version === version ? RENEWED_AFTER : known.rest;
      if (askedAt - known.signedAt < good) return known;
    }
    const statement = this.#statement(withdrawn);
    const jwt = Buffer.from(this.#sign(statement));
    const etag = `"${sha256(jwt)}"`;
    const signedAt = this.clock.monotonic();
    const rest = isLarge(statement) ? restAfter(signedAt - askedAt) : 0;
    this.#current = { jwt, etag, rest, version, keys, signedAt };
    return this.#current;
  }

  #statement(withdrawn: readonly string[]): Statement {
    // As of when it was read, not of when it is signed.
    const { sessions, tokens, users, readAt } = this.revocations.snapshot();
    const iat = Math.floor(readAt / 1000);
    const hashes = new Map<string, string>();
    const hash = (subject: string): string => {
      const known = this.#hashes.get(subject) ?? sha256(subject);
      hashes.set(subject, known);
      return known;
    };
    const statement = {
      iss: this.config.issuer,
      iat,
      exp: iat + LIFETIME,
      sessions: sessions.map(hash),
      tokens: tokens.map(hash),
      users: Object.fromEntries(users.map(([sub, gen]) => [hash(sub), gen])),
      keys: [...withdrawn],
    };
    this.#hashes = hashes; // those of what is refused no more are forgotten
    return statement;
  }

  #sign(statement: Statement): string {
    const { sign, algorithm, kid } = this.keyring.signingKey();
    return this.jwt.sign(statement, {
      privateKey: sign,
      algorithm,
      header: { alg: algorithm, typ: 'revocations+jwt', kid },
    });
  }
}

const isLarge = ({ sessions, tokens, users }: Statement): boolean =>
  sessions.length + tokens.length + Object.keys(users).length > LARGE;

/** @param took milliseconds to make it */
const restAfter = (took: number): number =>
  Math.min(Math.max(LARGE_RENEWED_AFTER, took * LARGE_REST), RENEWED_AFTER);

const sha256 = (data: string | Buffer): string =>
  createHash('sha256').update(data).digest('base64url');
