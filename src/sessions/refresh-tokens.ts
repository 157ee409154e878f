import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RootSecrets } from '../keys/root-secrets.js';

/** Which session a refresh token belongs to, and how many were before it. */
export interface RefreshTokenId {
  /** 128 random bits in hex; never the public `sid`. */
  refreshId: string;
  counter: number;
}

const PREFIX = 'lk_rt_';
const FORM = /^lk_rt_([0-9a-f]{32})_(0|[1-9]\d{0,8})_([A-Za-z0-9_-]{43})$/;

/**
 * Refresh tokens are `lk_rt_<refresh id>_<counter>_<MAC>`, the MAC being HMAC-SHA-256 under a key
 * that is not in the database: a forged one never reaches it, nothing secret is stored, and the
 * current one can be told again without having been kept.
 */
@Injectable()
export class RefreshTokens {
  /** The current key first; what the one before it signed is still genuine. */
  readonly #keys: readonly KeyObject[];

  constructor(secrets: RootSecrets) {
    this.#keys = secrets.all.map((secret) => secret.key('refresh tokens'));
  }

  newId(): string {
    return randomBytes(16).toString('hex');
  }

  issue(id: RefreshTokenId): string {
    return `${head(id)}_${mac(this.#keys[0]!, id).toString('base64url')}`;
  }

  /** What a genuine token names; undefined for any other text. Whether it is valid, its row tells. */
  read(token: string): RefreshTokenId | undefined {
    const [, refreshId = '', counter = '', given = ''] = FORM.exec(token) ?? [];
    const id = { refreshId, counter: Number(counter) };
    const bytes = Buffer.from(given, 'base64url');
    // 43 characters can spell the same 32 bytes in four ways, and a token has one name.
    if (bytes.length !== 32 || bytes.toString('base64url') !== given) return undefined;
    const genuine = this.#keys.some((key) => timingSafeEqual(mac(key, id), bytes));
    return genuine ? id : undefined;
  }
}

/** Whether a credential is to be read as a refresh token, right or wrong. */
export const isRefreshToken = (credential: string): boolean => credential.startsWith(PREFIX);

const head = ({ refreshId, counter }: RefreshTokenId): string => `${PREFIX}${refreshId}_${counter}`;

const mac = (key: KeyObject, id: RefreshTokenId): Buffer =>
  createHmac('sha256', key).update(head(id)).digest();
