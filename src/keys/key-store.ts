import type { Config } from '../config/config.js';
import type { Database, Executor } from '../database/database.js';
import { underLock } from '../database/lock.js';
import { decrypt, encrypt } from './key-encryption.js';
import { RootSecret, secretBesideDatabase } from './root-secret.js';
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
    /** The current secret, which encrypts, then the previous one, if set. */
    private readonly secrets: readonly [RootSecret, ...RootSecret[]],
  ) {}

  /** Opens the store, making the secret beside the database on a first start. */
  static async open(db: Database, config: Config): Promise<KeyStore> {
    if (config.keyEncryptionSecret !== undefined) {
      const previous = config.keyEncryptionSecretPrevious;
      const current = new RootSecret(config.keyEncryptionSecret);
      return new KeyStore(
        db,
        previous === undefined ? [current] : [current, new RootSecret(previous)],
      );
    }
    if (config.database.kind === 'postgres') throw new Error('KEY_ENCRYPTION_SECRET is required');
    const { secretFile } = config.database;
    return underLock(db, async (trx) => {
      const first = !(await anyRow(trx, 'signing_keys')) && !(await anyRow(trx, 'sessions'));
      return new KeyStore(db, [new RootSecret(secretBesideDatabase(secretFile, first))]);
    });
  }

  /**
   * Makes the first key of an algorithm and its standby. Whoever comes second to the lock finds
   * them there. The pairs are made before the lock is taken: nothing but SQL runs under it.
   */
  async ensure(algorithm: ManagedAlgorithm, now: number): Promise<void> {
    if (await this.#exists(this.db, algorithm)) return;
    const active = await generateSigningKey(algorithm);
    const standby = await generateSigningKey(algorithm);
    const row = ({ kid, publicJwk, pkcs8 }: typeof active, activateAt: number | null) => ({
      kid,
      alg: algorithm,
      public_jwk: JSON.stringify(publicJwk),
      private_key: encrypt(this.secrets[0].key('key encryption'), `${kid}|${algorithm}`, pkcs8),
      secret_id: this.secrets[0].id,
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
    const secret = this.secrets.find(({ id }) => id === row.secret_id);
    if (secret === undefined) {
      throw new Error(
        `The signing key ${row.kid} is encrypted with another KEY_ENCRYPTION_SECRET ` +
          `(id ${row.secret_id}): set that one, or set it as KEY_ENCRYPTION_SECRET_PREVIOUS.`,
      );
    }
    const context = `${row.kid}|${row.alg}`;
    const pkcs8 = decrypt(secret.key('key encryption'), context, row.private_key);
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

async function anyRow(executor: Executor, table: 'signing_keys' | 'sessions'): Promise<boolean> {
  const row = await executor
    .selectFrom(table)
    .select((eb) => eb.lit(1).as('one'))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
