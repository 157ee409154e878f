import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import { listKeys } from '../keys/key-list.js';
import { Keyring } from '../keys/keyring.js';
import { inDomain } from './context.js';
import { type OutputOptions, print, table, utc } from './output.js';

export function list(options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const keys = await listKeys(domain.get(Database), domain.get(Keyring), domain.get(Clock).now());
    const shown = keys.map(({ kid, algorithm, createdAt, state }) => ({
      kid,
      algorithm,
      created_at: createdAt === undefined ? null : utc(createdAt),
      state,
    }));
    const rows = shown.map((key) => [key.kid, key.algorithm, key.created_at ?? '-', key.state]);
    print(options, shown, table(['KID', 'ALGORITHM', 'CREATED', 'STATE'], rows));
  });
}
