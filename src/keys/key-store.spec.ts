import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../database/database.js';
import { migrate } from '../database/migrate.js';
import { SqliteDialect } from '../database/sqlite.js';
import { KeyStore } from './key-store.js';
import { RootSecret } from './root-secret.js';
import { RootSecrets } from './root-secrets.js';

const OLD = new RootSecret('k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN');
const NEW = new RootSecret('p2Zx8vQe6TnWc4LrYk0Ju7DsGa1MfBhO9iEtRwSyXlC');
const NOW = 1_767_225_600_000;

let db: Database;

beforeEach(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
  db = new Database({
    dialect: new SqliteDialect({ file: join(directory, 'latchkey.db'), directory }),
  });
  await migrate(db);
});
afterEach(() => db.destroy());

const rows = () => db.selectFrom('signing_keys').selectAll().orderBy('alg').execute();

describe('The key store', () => {
  it('makes one active key and a standby, once', async () => {
    const store = new KeyStore(db, new RootSecrets(OLD));
    await store.ensure('ES256', NOW);
    const keys = (await store.load()).keys;
    expect(keys.map(({ activateAt }) => activateAt).sort()).toEqual([NOW, null]);
    expect(keys.map(({ key }) => key.algorithm)).toEqual(['ES256', 'ES256']);

    await store.ensure('ES256', NOW + 1);
    await new KeyStore(db, new RootSecrets(OLD)).ensure('ES256', NOW + 1);
    expect((await store.load()).keys).toEqual(keys);
  });

  it('keeps no private key readable', async () => {
    const store = new KeyStore(db, new RootSecrets(OLD));
    await store.ensure('ES256', NOW);
    const stored = JSON.stringify(await rows());
    for (const { key } of (await store.load()).keys) {
      const { d } = key.sign.export({ format: 'jwk' });
      expect(stored).not.toContain(d);
      const pkcs8 = key.sign.export({ format: 'der', type: 'pkcs8' });
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        expect(stored).not.toContain(pkcs8.toString(encoding).slice(-40));
      }
    }
  });

  it('reads keys under the previous secret, and writes under the current one', async () => {
    await new KeyStore(db, new RootSecrets(OLD)).ensure('ES256', NOW);
    const store = new KeyStore(db, new RootSecrets(NEW, OLD));
    await store.ensure('RS256', NOW);
    expect((await store.load()).keys).toHaveLength(4);
    expect((await rows()).map(({ secret_id }) => secret_id)).toEqual([
      ...[OLD.id, OLD.id],
      ...[NEW.id, NEW.id],
    ]);
  });

  it('makes no key while it cannot read those that are there', async () => {
    await new KeyStore(db, new RootSecrets(OLD)).ensure('ES256', NOW);
    const store = new KeyStore(db, new RootSecrets(NEW));
    await expect(store.load()).rejects.toThrow(/another secret .+: set that one/);
    await expect(store.ensure('ES256', NOW)).rejects.toThrow(/another secret/);
    await expect(store.ensure('RS256', NOW)).rejects.toThrow(/another secret/);
    expect(await rows()).toHaveLength(2);
  });

  it('names the file when the secret came from one', async () => {
    await new KeyStore(db, new RootSecrets(OLD)).ensure('ES256', NOW);
    const store = new KeyStore(db, new RootSecrets(NEW, undefined, '/data/secret'));
    await expect(store.load()).rejects.toThrow(
      /the one in \/data\/secret: set KEY_ENCRYPTION_SECRET to that one/,
    );
  });

  it('reads no private key in the place of another', async () => {
    await new KeyStore(db, new RootSecrets(OLD)).ensure('ES256', NOW);
    const [first, second] = await rows();
    await db
      .updateTable('signing_keys')
      .set({ private_key: second!.private_key })
      .where('kid', '=', first!.kid)
      .execute();
    await expect(new KeyStore(db, new RootSecrets(OLD)).load()).rejects.toThrow(
      /is damaged: restore/,
    );
  });

  it('knows nothing more of a key that was withdrawn', async () => {
    const store = new KeyStore(db, new RootSecrets(OLD));
    await store.ensure('ES256', NOW);
    await db
      .updateTable('signing_keys')
      .set({ withdrawn_at: NOW })
      .where('activate_at', 'is not', null)
      .execute();
    expect((await store.load()).keys.map(({ activateAt }) => activateAt)).toEqual([null]);
  });
});
