import { Inject, Injectable } from '@nestjs/common';
import { checkpoint } from '../database/checkpoint.js';
import { Database, type Executor } from '../database/database.js';
import { underLock } from '../database/lock.js';
import { decrypt, encrypt } from './key-encryption.js';
import type { RootSecret } from './root-secret.js';
import { RootSecrets } from './root-secrets.js';
import {
  generateSigningKey,
  loadSigningKey,
  type ManagedAlgorithm,
  type SigningKey,
} from './signing-key.js';

/** A managed key and when it signs: see `key-schedule.ts`. */
export interface StoredKey {
  key: SigningKey;
  /** Epoch milliseconds; null for the standby key. */
  activateAt: number | null;
  /** Seconds: the longest that any token lives which it signed. */
  longestTtl: number;
}

interface StoredKeys {
  /** Every key that signs, waits, stands by, or has signed. */
  keys: StoredKey[];
  /** The `kid`s of those whose tokens are refused although they may be alive. */
  withdrawn: string[];
}

interface NewKey {
  pair: Awaited<ReturnType<typeof generateSigningKey>>;
  activateAt: number | null;
}

/** The signing keys in the database, their private halves under the key encryption secret. */
@Injectable()
export class KeyStore {
  /** What was decrypted once is not decrypted at every reload. */
  readonly #loaded = new Map<string, SigningKey>();

  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly secrets: RootSecrets,
  ) {}

  /**
   * Makes the first key of an algorithm and its standby. Whoever comes second to the lock finds
   * them there. The pairs are made before the lock is taken: nothing but SQL runs under it.
   * @throws Error as `load` does: with a wrong secret, no key is made beside those it cannot read
   */
  async ensure(algorithm: ManagedAlgorithm, now: number): Promise<void> {
    await this.load();
    if (await this.#exists(this.db, algorithm)) return;
    const active = { pair: await generateSigningKey(algorithm), activateAt: now };
    const standby = { pair: await generateSigningKey(algorithm), activateAt: null };
    await underLock(this.db, async (trx) => {
      if (await this.#exists(trx, algorithm)) return;
      await this.insert(trx, [active, standby], now);
    });
    // Without them, others would be made in a database that has lost its log.
    await checkpoint(this.db);
  }

  async insert(executor: Executor, keys: readonly NewKey[], now: number): Promise<void> {
    const secret = this.secrets.current;
    const rows = keys.map(({ pair: { kid, algorithm, publicJwk, pkcs8 }, activateAt }) => ({
      kid,
      alg: algorithm,
      public_jwk: JSON.stringify(publicJwk),
      private_key: encrypt(secret.key('key encryption'), `${kid}|${algorithm}`, pkcs8),
      secret_id: secret.id,
      created_at: now,
      activate_at: activateAt,
      withdrawn_at: null,
    }));
    await executor.insertInto('signing_keys').values(rows).execute();
  }

  /**
   * @throws Error when a key does not decrypt: a wrong secret must stop the start, not make new keys
   */
  async load(executor: Executor = this.db): Promise<StoredKeys> {
    const rows = await executor
      .selectFrom('signing_keys')
      .select([
        'kid',
        'alg',
        'private_key',
        'secret_id',
        'activate_at',
        'longest_ttl',
        'withdrawn_at',
      ])
      .orderBy('kid')
      .execute();
    return {
      keys: rows
        .filter((row) => row.withdrawn_at === null)
        .map((row) => ({
          key: this.#loaded.get(row.kid) ?? this.#decrypt(row),
          activateAt: row.activate_at,
          longestTtl: row.longest_ttl,
        })),
      withdrawn: rows.filter((row) => row.withdrawn_at !== null).map(({ kid }) => kid),
    };
  }

  async delete(executor: Executor, keys: readonly StoredKey[]): Promise<void> {
    if (keys.length === 0) return;
    const kids = keys.map(({ key }) => key.kid);
    await executor.deleteFrom('signing_keys').where('kid', 'in', kids).execute();
  }

  /** Notes how long tokens live from now on, before any is signed. @param ttl seconds */
  async noteTtl(algorithm: ManagedAlgorithm, ttl: number): Promise<void> {
    await this.db
      .updateTable('signing_keys')
      .set({ longest_ttl: ttl })
      .where('alg', '=', algorithm)
      .where('longest_ttl', '<', ttl)
      .execute();
  }

  /** Puts every key under the current secret. @returns how many were under another */
  async reencrypt(executor: Executor): Promise<number> {
    const { current } = this.secrets;
    const rows = await executor
      .selectFrom('signing_keys')
      .select(['kid', 'alg', 'private_key', 'secret_id'])
      .where('withdrawn_at', 'is', null)
      .where('secret_id', '!=', current.id)
      .execute();
    for (const row of rows) {
      const pkcs8 = decryptKey(this.#secretOf(row), row);
      await executor
        .updateTable('signing_keys')
        .set({
          private_key: encrypt(current.key('key encryption'), `${row.kid}|${row.alg}`, pkcs8),
          secret_id: current.id,
        })
        .where('kid', '=', row.kid)
        .execute();
    }
    return rows.length;
  }

  #decrypt(row: { kid: string; alg: string; private_key: string; secret_id: string }): SigningKey {
    const pkcs8 = decryptKey(this.#secretOf(row), row);
    const key = loadSigningKey(row.kid, row.alg as ManagedAlgorithm, pkcs8);
    this.#loaded.set(row.kid, key);
    return key;
  }

  #secretOf({ kid, secret_id: id }: { kid: string; secret_id: string }): RootSecret {
    const secret = this.secrets.find(id);
    if (secret !== undefined) return secret;
    throw this.secrets.refusal(`The signing key ${kid} is encrypted`, id);
  }

  async #exists(executor: Executor, algorithm: ManagedAlgorithm): Promise<boolean> {
    const row = await executor
      .selectFrom('signing_keys')
      .select('kid')
      .where('alg', '=', algorithm)
      .where('activate_at', 'is not', null)
      .where('withdrawn_at', 'is', null)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }
}

function decryptKey(
  secret: RootSecret,
  row: { kid: string; alg: string; private_key: string },
): Buffer {
  try {
    return decrypt(secret.key('key encryption'), `${row.kid}|${row.alg}`, row.private_key);
  } catch (cause) {
    throw new Error(
      `The signing key ${row.kid} in the database is damaged: restore the database from a backup.`,
      { cause },
    );
  }
}
