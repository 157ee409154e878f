import type { Revocable, Revocation } from './revocation.js';

/** The revocations in memory: three look-ups a check. */
export class RevocationSet {
  readonly #tokens = new Map<string, number>();
  /** Apart from the others: no service that checks tokens itself has a use for them. */
  readonly #apiTokens = new Map<string, number>();
  readonly #sessions = new Map<string, number>();
  readonly #users = new Map<string, { gen: number; expiresAt: number }>();

  has({ jti, sid, sub, gen }: Revocable): boolean {
    if (this.#tokens.has(jti) || this.#sessions.has(sid)) return true;
    return this.isBelow(sub, gen);
  }

  /** Whether the tokens of this generation of a user are refused. */
  isBelow(sub: string, gen: number): boolean {
    const user = this.#users.get(sub);
    return user !== undefined && gen < user.gen;
  }

  hasApiToken(id: string): boolean {
    return this.#apiTokens.has(id);
  }

  /**
   * Adding one twice is the same as adding it once; of two the wider holds.
   * @returns whether more is refused than before
   */
  add(revocation: Revocation): boolean {
    const { subject, expiresAt } = revocation;
    if (revocation.kind === 'sub') {
      const known = this.#users.get(subject);
      const wider = revocation.gen > (known?.gen ?? -1);
      this.#users.set(subject, {
        gen: Math.max(revocation.gen, known?.gen ?? 0),
        expiresAt: Math.max(expiresAt, known?.expiresAt ?? 0),
      });
      return wider;
    }
    const map = { jti: this.#tokens, api: this.#apiTokens, sid: this.#sessions }[revocation.kind];
    const known = map.get(subject);
    map.set(subject, Math.max(expiresAt, known ?? 0));
    return known === undefined;
  }

  /** What services have to know now that check access tokens themselves. */
  entries(now: number): {
    sessions: string[];
    tokens: string[];
    users: [sub: string, gen: number][];
  } {
    const living = (map: ReadonlyMap<string, number>): string[] =>
      [...map].filter(([, expiresAt]) => expiresAt > now).map(([subject]) => subject);
    return {
      sessions: living(this.#sessions),
      tokens: living(this.#tokens),
      users: [...this.#users]
        .filter(([, { expiresAt }]) => expiresAt > now)
        .map(([sub, { gen }]) => [sub, gen]),
    };
  }

  /** Forgets what no living token can be about. */
  prune(now: number): void {
    for (const map of [this.#tokens, this.#apiTokens, this.#sessions]) {
      for (const [subject, expiresAt] of map) if (expiresAt <= now) map.delete(subject);
    }
    for (const [subject, user] of this.#users) {
      if (user.expiresAt <= now) this.#users.delete(subject);
    }
  }
}
