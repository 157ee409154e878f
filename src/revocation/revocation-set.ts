import type { Revocable, Revocation } from './revocation.js';

/** The revocations in memory: three look-ups a check. */
export class RevocationSet {
  readonly #tokens = new Map<string, number>();
  readonly #sessions = new Map<string, number>();
  readonly #users = new Map<string, { gen: number; expiresAt: number }>();

  get size(): number {
    return this.#tokens.size + this.#sessions.size + this.#users.size;
  }

  has({ jti, sid, sub, gen }: Revocable): boolean {
    if (this.#tokens.has(jti) || this.#sessions.has(sid)) return true;
    const user = this.#users.get(sub);
    return user !== undefined && gen < user.gen;
  }

  /** Adding one twice is the same as adding it once; of two the wider holds. */
  add(revocation: Revocation): void {
    const { subject, expiresAt } = revocation;
    if (revocation.kind === 'sub') {
      const known = this.#users.get(subject);
      this.#users.set(subject, {
        gen: Math.max(revocation.gen, known?.gen ?? 0),
        expiresAt: Math.max(expiresAt, known?.expiresAt ?? 0),
      });
    } else {
      const map = revocation.kind === 'jti' ? this.#tokens : this.#sessions;
      map.set(subject, Math.max(expiresAt, map.get(subject) ?? 0));
    }
  }

  /** Forgets what no living token can be about. */
  prune(now: number): void {
    for (const map of [this.#tokens, this.#sessions]) {
      for (const [subject, expiresAt] of map) if (expiresAt <= now) map.delete(subject);
    }
    for (const [subject, user] of this.#users) {
      if (user.expiresAt <= now) this.#users.delete(subject);
    }
  }
}
