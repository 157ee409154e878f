import type { Config } from '../config/config.js';
import type { Database, Executor } from '../database/database.js';
import { underLock } from '../database/lock.js';
import { RootSecret, secretBesideDatabase } from './root-secret.js';

/** The key encryption secret, and the one before it while it is being replaced. */
export class RootSecrets {
  constructor(
    readonly current: RootSecret,
    private readonly previous?: RootSecret,
    /** Where the current one is kept, when it is not `KEY_ENCRYPTION_SECRET`. */
    readonly file?: string,
  ) {}

  /**
   * Takes them from the settings, or makes one beside the SQLite file on a first start.
   * @throws Error when the file is gone although something in the database needs it
   */
  static async open(db: Database, config: Config): Promise<RootSecrets> {
    const { keyEncryptionSecret, keyEncryptionSecretPrevious, database } = config;
    if (keyEncryptionSecret !== undefined) {
      return new RootSecrets(
        new RootSecret(keyEncryptionSecret),
        keyEncryptionSecretPrevious === undefined
          ? undefined
          : new RootSecret(keyEncryptionSecretPrevious),
      );
    }
    if (database.kind === 'postgres') throw new Error('KEY_ENCRYPTION_SECRET is required');
    const { secretFile } = database;
    return underLock(db, async (trx) => {
      let first = true;
      for (const table of UNDER_SECRET) {
        first &&= !(await anyRow(trx, table));
      }
      const secret = new RootSecret(secretBesideDatabase(secretFile, first));
      return new RootSecrets(secret, undefined, secretFile);
    });
  }

  /** The current one first. */
  get all(): RootSecret[] {
    return [this.current, this.previous].filter((secret) => secret !== undefined);
  }

  /** @param what is under another secret, as the beginning of a sentence */
  refusal(what: string, id: string): Error {
    return new Error(
      `${what} under another secret (id ${id}) than ` +
        (this.file === undefined
          ? 'KEY_ENCRYPTION_SECRET: set that one, or set it as KEY_ENCRYPTION_SECRET_PREVIOUS.'
          : `the one in ${this.file}: set KEY_ENCRYPTION_SECRET to that one, where it was ever set, or ` +
            'restore the file from a backup.'),
    );
  }

  /** The secret under which something was encrypted; undefined where it is neither of ours. */
  find(id: string): RootSecret | undefined {
    return this.all.find((secret) => secret.id === id);
  }
}

/** Whose rows are worth nothing without the secret. */
const UNDER_SECRET = ['signing_keys', 'sessions', 'audit_seals', 'audit_checkpoints'] as const;

async function anyRow(executor: Executor, table: (typeof UNDER_SECRET)[number]): Promise<boolean> {
  const row = await executor
    .selectFrom(table)
    .select((eb) => eb.lit(1).as('one'))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
