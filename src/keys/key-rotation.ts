import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit, type AuditEvent } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { underLock } from '../database/lock.js';
import type { Schema } from '../database/schema.js';
import { activeKey, PUBLISHED_BEFORE, verifyingKeys } from './key-schedule.js';
import { KeyStore, type StoredKey } from './key-store.js';
import { generateSigningKey, type ManagedAlgorithm } from './signing-key.js';

/** Milliseconds: so long after it was withdrawn nobody has a token of a key, or asks for one. */
const KEPT_FOR = 25 * 3_600_000;

/** What the operator does to the signing keys. A running server knows within a second. */
@Injectable()
export class KeyRotation {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly store: KeyStore,
    private readonly audit: Audit,
  ) {}

  /**
   * Has the standby key sign from a quarter of an hour on, when every service has fetched it, and
   * publishes another standby. Nobody notices.
   * @throws Error with `JWT_SECRET`; while the last rotation waits for its time
   */
  async rotate(actor: string): Promise<void> {
    await this.#change(async (trx, keys, now, createStandby) => {
      const waiting = nextInLine(keys, now);
      if (waiting !== undefined) {
        const from = new Date(waiting.activateAt).toISOString();
        throw new Error(`A rotation is under way: ${waiting.key.kid} signs from ${from} on.`);
      }
      const next = this.#standbyOf(keys);
      await activate(trx, next, now + PUBLISHED_BEFORE);
      await createStandby();
      await this.#record(trx, 'key_rotated', actor, {
        kid: next,
        signs_in_seconds: PUBLISHED_BEFORE / 1000,
      });
    });
  }

  /**
   * Withdraws the key that signs, which somebody else may have, and those of an algorithm that signs
   * no more, and has the next in line sign at once, or else the standby. Their access tokens are refused from now on; refresh
   * tokens give new ones.
   * @param all withdraws every key there is, the standby too
   * @throws Error with `JWT_SECRET`
   */
  async replaceCompromised(actor: string, all: boolean): Promise<void> {
    await this.#change(async (trx, keys, now, createStandby) => {
      const algorithm = this.#algorithm();
      const active = activeKey(keys, algorithm, now);
      const lost = keys
        .map(({ key }) => key)
        .filter((key) => all || key === active || key.algorithm !== algorithm)
        .map(({ kid }) => kid);
      await trx
        .updateTable('signing_keys')
        .set({ withdrawn_at: now })
        .where('kid', 'in', lost)
        .execute();
      // Published before the standby, so that more services know it.
      const waiting = all ? undefined : nextInLine(keys, now, algorithm)?.key.kid;
      const next = waiting ?? (all ? await createStandby() : this.#standbyOf(keys));
      await activate(trx, next, now);
      if (waiting === undefined) await createStandby();
      await this.#record(trx, 'key_withdrawn', actor, { withdrawn: lost, kid: next });
    });
  }

  /**
   * Encrypts anew, under `KEY_ENCRYPTION_SECRET`, what is under the one before it.
   * @returns how many keys
   */
  async reencrypt(actor: string): Promise<number> {
    return underLock(this.db, async (trx) => {
      const count = await this.store.reencrypt(trx);
      if (count > 0) await this.#record(trx, 'keys_reencrypted', actor, { count });
      return count;
    });
  }

  /** The pairs are made before the lock is taken: nothing but SQL runs under it. */
  async #change(
    write: (
      trx: Transaction<Schema>,
      keys: readonly StoredKey[],
      now: number,
      createStandby: () => Promise<string>,
    ) => Promise<void>,
  ): Promise<void> {
    const algorithm = this.#algorithm();
    const spare = [await generateSigningKey(algorithm), await generateSigningKey(algorithm)];
    await underLock(this.db, async (trx) => {
      const now = this.clock.now();
      const stored = (await this.store.load(trx)).keys;
      const keys = verifyingKeys(stored, algorithm, now);
      // A key that has left must not come back when the one that replaced it is withdrawn.
      await this.store.delete(
        trx,
        stored.filter((key) => !keys.includes(key)),
      );
      await write(trx, keys, now, async () => {
        const pair = spare.pop()!;
        await this.store.insert(trx, [{ pair, activateAt: null }], now);
        return pair.kid;
      });
      await trx
        .deleteFrom('signing_keys')
        .where('withdrawn_at', '<', now - KEPT_FOR)
        .execute();
    });
  }

  #standbyOf(keys: readonly StoredKey[]): string {
    const algorithm = this.#algorithm();
    const standby = keys.find(
      ({ key, activateAt }) => activateAt === null && key.algorithm === algorithm,
    );
    if (standby !== undefined) return standby.key.kid;
    throw new Error('There is no standby key: start the server once, or use --compromised --all.');
  }

  #algorithm(): ManagedAlgorithm {
    const { jwtSecret, signingAlgorithm } = this.config;
    if (jwtSecret === undefined) return signingAlgorithm;
    throw new Error(
      'Tokens are signed with JWT_SECRET: change it, with the old one as JWT_SECRET_PREVIOUS.',
    );
  }

  #record(
    trx: Transaction<Schema>,
    event: AuditEvent,
    actor: string,
    detail: Record<string, string | number | readonly string[]>,
  ): Promise<void> {
    return this.audit.record(trx, { event, userId: null, actor, detail });
  }
}

/** The key that waits for its time, after a rotation. */
function nextInLine(
  keys: readonly StoredKey[],
  now: number,
  algorithm?: ManagedAlgorithm,
): (StoredKey & { activateAt: number }) | undefined {
  return keys.find(
    (stored): stored is StoredKey & { activateAt: number } =>
      stored.activateAt !== null &&
      stored.activateAt > now &&
      (algorithm === undefined || stored.key.algorithm === algorithm),
  );
}

async function activate(trx: Transaction<Schema>, kid: string, at: number): Promise<void> {
  await trx.updateTable('signing_keys').set({ activate_at: at }).where('kid', '=', kid).execute();
}
