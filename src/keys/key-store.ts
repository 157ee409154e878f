import type { Database, Executor } from '../database/database.js';
import { underLock } from '../database/lock.js';
import { decrypt, encrypt } from './key-encryption.js';
import type { RootSecret } from './root-secret.js';
import type { RootSecrets } from './root-secrets.js';
import {
  generateSigningKey,
  loadSigningKey,
  type ManagedAlgorithm,
  type SigningKey,
} from './signing-key.js';

/** A managed key and when it signs: see `activeKey()`. */
export interface StoredKey {
  key: SigningKey;
  /** Epoch milliseconds; null for the standby key. */
  activateAt: number | null;
}

/** The signing keys in the database, their private halves under the key encryption secret. */
export class KeyStore {
  /** What was decrypted once is not decrypted at every reload. */
  readonly #loaded = new Map<string, SigningKey>();

  constructor(
    private readonly db: Database,
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
    const active = await generateSigningKey(algorithm);
    const standby = await generateSigningKey(algorithm);
    const secret = this.secrets.current;
    const row = ({ kid, publicJwk, pkcs8 }: typeof active, activateAt: number | null) => ({
      kid,
      alg: algorithm,
      public_jwk: JSON.stringify(publicJwk),
      private_key: encrypt(secret.key('key encryption'), `${kid}|${algorithm}`, pkcs8),
      secret_id: secret.id,
      created_at: now,
      activate_at: activateAt,
      withdrawn_at: null,
    });
    await underLock(this.db, async (trx) => {
      if (await this.#exists(trx, algorithm)) return;
      await trx
        .insertInto('signing_keys')
        .values([row(active, now), row(standby, null)])
        .execute();
    });
  }

  /**
   * Every key that signs, waits or still verifies.
   * @throws Error when one does not decrypt: a wrong secret must stop the start, not make new keys
   */
  async load(): Promise<StoredKey[]> {
    const rows = await this.db
      .selectFrom('signing_keys')
      .select(['kid', 'alg', 'private_key', 'secret_id', 'activate_at'])
      .where('withdrawn_at', 'is', null)
      .orderBy('kid')
      .execute();
    return rows.map((row) => ({
      key: this.#loaded.get(row.kid) ?? this.#decrypt(row),
      activateAt: row.activate_at,
    }));
  }

  #decrypt(row: { kid: string; alg: string; private_key: string; secret_id: string }): SigningKey {
    const secret = this.secrets.find(row.secret_id);
    if (secret === undefined) {
      throw new Error(
        `The signing key ${row.kid} is encrypted under another secret (id ${row.secret_id}) than ` +
          (this.secrets.file === undefined
            ? 'KEY_ENCRYPTION_SECRET: set that one, or set it as KEY_ENCRYPTION_SECRET_PREVIOUS.'
            : `the one in ${this.secrets.file}: restore that file from a backup.`),
      );
    }
    const pkcs8 = decryptKey(secret, row);
    const key = loadSigningKey(row.kid, row.alg as ManagedAlgorithm, pkcs8);
    this.#loaded.set(row.kid, key);
    return key;
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
