import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { RootSecret } from '../keys/root-secret.js';
import { RootSecrets } from '../keys/root-secrets.js';

/** HMAC-SHA-256 under a key that is not in the database. */
export class SealKey {
  /** Of the key encryption secret that it comes from. */
  readonly id: string;
  readonly #key: KeyObject;

  constructor(secret: RootSecret) {
    this.id = secret.id;
    this.#key = secret.key('audit seals');
  }

  /** @returns base64url */
  mac(content: string): string {
    return createHmac('sha256', this.#key).update(content).digest('base64url');
  }

  /** Whether a MAC is this key's over that content. */
  made(mac: string, content: string): boolean {
    const [given, ours] = [Buffer.from(mac), Buffer.from(this.mac(content))];
    return given.length === ours.length && timingSafeEqual(given, ours);
  }
}

/** One for each key encryption secret that is set. */
@Injectable()
export class SealKeys {
  readonly current: SealKey;
  readonly #all: readonly SealKey[];

  constructor(private readonly secrets: RootSecrets) {
    this.current = new SealKey(secrets.current);
    this.#all = secrets.all.map((secret) => new SealKey(secret));
  }

  find(id: string): SealKey | undefined {
    return this.#all.find((key) => key.id === id);
  }

  /** @throws Error for a secret that is not set, which says what to do */
  require(what: string, id: string): void {
    if (this.find(id) === undefined) throw this.secrets.refusal(what, id);
  }
}
