import { type DatabaseLocation, databaseLocation, readEnvironment } from '../config/config.js';
import { Clock } from '../clock.js';
import { type CopiedTable, copyDatabase } from '../database/copy.js';
import { openForCopy } from '../database/open.js';
import { findMovedSecret, type SecretPlace } from '../keys/moved-secret.js';
import { type OutputOptions, print, table } from './output.js';
import { progress } from './progress.js';

/**
 * Moves everything from SQLite to PostgreSQL. The source is locked against any other process
 * until the end.
 * @param targetUrl undefined for `DATABASE_URL`
 */
export async function copy(
  sourceUrl: string,
  targetUrl: string | undefined,
  options: OutputOptions,
): Promise<void> {
  const environment = readEnvironment();
  const source = databaseLocation(sourceUrl);
  const target = databaseLocation(targetUrl ?? environment['DATABASE_URL'] ?? '');
  if (!sourceUrl.startsWith('sqlite:') || source.kind !== 'sqlite') {
    throw new Error('SOURCE must be sqlite:PATH');
  }
  if (target.kind !== 'postgres' || !/^postgres(ql)?:\/\//.test(target.url)) {
    throw new Error('TARGET must be postgres://USER@HOST/DATABASE');
  }
  const { tables, secret } = await inBoth(source, target, environment);
  const rows = tables.map(({ name, rows, sum }) => [name, String(rows), checksum(sum)]);
  print(
    options,
    {
      tables: tables.map(({ name, rows, sum }) => ({ name, rows, checksum: checksum(sum) })),
      key_encryption_secret: secret?.kind ?? 'unknown',
    },
    `${table(['TABLE', 'ROWS', 'CHECKSUM'], rows)}\n\n${nextSteps(source.file, secret)}`,
  );
}

async function inBoth(
  source: DatabaseLocation & { kind: 'sqlite' },
  target: DatabaseLocation & { kind: 'postgres' },
  environment: Record<string, string | undefined>,
): Promise<{ tables: CopiedTable[]; secret: SecretPlace }> {
  const clock = new Clock();
  const startedAt = clock.monotonic();
  const tell = progress(() => clock.monotonic());
  const databases = await openForCopy(source, target);
  try {
    return await databases.source.transaction().execute(async (trx) => {
      // Before anything is written: the keys would be worthless without it.
      const secret = await findMovedSecret(trx, {
        current: environment['KEY_ENCRYPTION_SECRET'] || undefined,
        previous: environment['KEY_ENCRYPTION_SECRET_PREVIOUS'] || undefined,
        secretFile: source.secretFile,
      });
      const tables = await copyDatabase(trx, databases.target, (name, rows) =>
        tell(() => `${name}: ${rows} rows, ${seconds(clock.monotonic() - startedAt)} s`),
      );
      return { tables, secret };
    });
  } finally {
    await databases.source.destroy();
    await databases.target.destroy();
  }
}

const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1_000);

const checksum = (sum: bigint): string => sum.toString(16).padStart(16, '0');

const nextSteps = (file: string, secret: SecretPlace): string =>
  `Everything is there: counts and checksums are equal.

Start the servers with
  DATABASE_URL           this PostgreSQL
  ISSUER                 the one that they had, or else the tokens of before are refused
  KEY_ENCRYPTION_SECRET  ${secretToSet(secret)}
and never again on ${file}: move it away.`;

function secretToSet(secret: SecretPlace): string {
  if (secret?.kind === 'environment') return 'as it is set now: it decrypts the keys';
  if (secret?.kind === 'file') return `the content of ${secret.file}`;
  return 'the one that they had, which is not in a file beside the database';
}
