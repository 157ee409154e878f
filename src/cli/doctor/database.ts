import { existsSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { lastCheckpoint, lastSeal } from '../../audit-seals/seal-store.js';
import type { Clock } from '../../clock.js';
import type { Config } from '../../config/config.js';
import { type Database, isPostgres } from '../../database/database.js';
import { MIGRATIONS, UNFINISHED_COPY } from '../../database/migrate.js';
import { forOperator, openForReading } from '../../database/open.js';
import { RootSecret } from '../../keys/root-secret.js';
import { fault, type Finding, ok, warning } from './finding.js';

/** Looks at the database as it is, if there is one. */
export async function examineDatabase(
  config: Config,
  faulty: ReadonlySet<string>,
  clock: Clock,
): Promise<Finding[]> {
  const { database } = config;
  if (database.kind === 'sqlite' && !existsSync(database.file)) {
    return existsSync(database.secretFile)
      ? [
          fault(
            'database_missing',
            `${database.file} is missing, and its secret is there`,
            'Restore both from a backup, or move the secret away to start anew.',
          ),
        ]
      : [ok('database', `${database.file} will be made at the first start`)];
  }
  const db = await openForReading(config);
  try {
    const findings = await examineMigrations(db);
    const behind = findings.some(
      ({ level, code }) => level === 'warning' || code === 'copy_unfinished',
    );
    findings.push(...(await examineClock(db, clock)));
    if (behind) return findings;
    if (!faulty.has('KEY_ENCRYPTION_SECRET') && !faulty.has('KEY_ENCRYPTION_SECRET_PREVIOUS')) {
      findings.push(...(await examineKeys(db, config)));
    }
    return [...findings, ...(await examineAudit(db, clock))];
  } catch (error) {
    const { message } = forOperator(error, database);
    return [fault('database_unavailable', message, 'Without it the server does not start.')];
  } finally {
    await db.destroy();
  }
}

async function examineMigrations(db: Database): Promise<Finding[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  const { rows } = tables.some(({ name }) => name === 'kysely_migration')
    ? await sql<{ name: string }>`select name from kysely_migration`.execute(db)
    : { rows: [] };
  const known = Object.keys(MIGRATIONS);
  const done = rows.map(({ name }) => name);
  const ahead = done.filter((name) => !known.includes(name));
  const behind = known.filter((name) => !done.includes(name));
  if (done.includes(UNFINISHED_COPY)) {
    return [
      fault(
        'copy_unfinished',
        'the database is half of a copy, on which no server starts',
        'Run `db copy` again, to its end.',
      ),
    ];
  }
  if (ahead.length > 0) {
    return [
      fault(
        'migrations_ahead',
        `the database has ${ahead.join(', ')}, which this version does not know`,
        'Start the newer version, or restore a backup from before it.',
      ),
    ];
  }
  if (behind.length > 0) {
    return [
      warning(
        'migrations_behind',
        `the database has not ${behind.join(', ')} yet`,
        'Back it up, then start this version, which migrates.',
      ),
    ];
  }
  return [ok('migrations', 'the schema is the one of this version')];
}

/** Milliseconds. */
const NOTABLE = 1_000;
const TOO_MUCH = 5_000;

async function examineClock(db: Database, clock: Clock): Promise<Finding[]> {
  if (!isPostgres(db)) return [];
  const askedAt = clock.now();
  const { rows } = await sql<{ now: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint as now
  `.execute(db);
  const answeredAt = clock.now();
  // The answer was made somewhere in between.
  const between = rows[0]!.now - (askedAt + answeredAt) / 2;
  const skew = Math.max(0, Math.abs(between) - (answeredAt - askedAt) / 2);
  const side = between > 0 ? 'ahead of' : 'behind';
  const what = `the clock of the database is ${(skew / 1000).toFixed(1)} s ${side} this machine’s`;
  const todo = 'Have both take the time from NTP; the server follows the database’s meanwhile.';
  if (skew > TOO_MUCH) return [fault('clock_skew', what, todo)];
  if (skew > NOTABLE) return [warning('clock_skew', what, todo)];
  return [ok('clock', 'the clocks of the database and of this machine agree')];
}

/** Whether the secrets that are set are those that the keys and the last seal are under. */
async function examineKeys(db: Database, config: Config): Promise<Finding[]> {
  const keys = await db.selectFrom('signing_keys').select('secret_id').distinct().execute();
  const seal = (await lastSeal(db)) ?? (await lastCheckpoint(db));
  if (seal) keys.push(seal);
  const ours = secrets(config).map((secret) => new RootSecret(secret).id);
  if (keys.every(({ secret_id }) => ours.includes(secret_id))) {
    return [
      ok(
        'key_secret',
        'the signing keys and the last seal of the audit are under the secrets that are set',
      ),
    ];
  }
  return [
    fault(
      'key_secret',
      'signing keys, or the last seal of the audit, are under a key encryption secret that is not set',
      'Set KEY_ENCRYPTION_SECRET, or KEY_ENCRYPTION_SECRET_PREVIOUS, to the one that they were made with.',
    ),
  ];
}

function secrets({ keyEncryptionSecret, keyEncryptionSecretPrevious, database }: Config): string[] {
  const set = [keyEncryptionSecret, keyEncryptionSecretPrevious].filter((one) => one !== undefined);
  if (set.length > 0 || database.kind === 'postgres' || !existsSync(database.secretFile))
    return set;
  return [readFileSync(database.secretFile, 'utf8').trim()];
}

/** Milliseconds. */
const SEALED_WITHIN = 60_000;

async function examineAudit(db: Database, clock: Clock): Promise<Finding[]> {
  const { at } = await db
    .selectFrom('audit')
    .select(({ fn }) => fn.min<number | null>('at').as('at'))
    .where('id', '>', ({ selectFrom }) =>
      selectFrom('audit_seals').select(({ fn, lit }) =>
        fn.coalesce(fn.max('last_row'), lit(0)).as('last'),
      ),
    )
    .executeTakeFirstOrThrow();
  if (at === null || clock.now() - at < SEALED_WITHIN) {
    return [ok('audit', 'the audit is sealed; `audit verify` tells whether it was changed')];
  }
  return [
    warning(
      'audit_unsealed',
      `audit rows from ${new Date(at).toISOString()} on are not sealed`,
      'Start a server, which seals them; if one runs, look in its log, and for a transaction in ' +
        'the database that does not end.',
    ),
  ];
}
