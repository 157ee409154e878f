import {
  type Kysely,
  PostgresAdapter,
  PostgresDialect as KyselyPostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  sql,
} from 'kysely';
import pg from 'pg';
import { MIGRATIONS_LOCK } from './lock.js';
import { databaseUnavailable } from './unavailable.js';

const CONNECT_TIMEOUT = 2_000;
const STATEMENT_TIMEOUT = 5_000;
/** What an answer may take on its way, beyond the statement's own time. */
const ANSWER_TIMEOUT = 1_000;
const INT8 = 20;

interface Options {
  url: string;
  /** How many connections at most; 10 unless told. */
  connections?: number | undefined;
  /** Milliseconds, 0 for none: waiting for a lock counts against it. */
  statementTimeout?: number | undefined;
  /** Milliseconds, 0 for none; as the statement's own unless told. */
  lockTimeout?: number | undefined;
  onIdleError?: (error: Error) => void;
  readOnly?: boolean;
}

/**
 * Kysely on PostgreSQL: READ COMMITTED whatever the server's default, every wait bounded, bigint
 * as a number, and a lost connection as `temporarily_unavailable`.
 */
export class PostgresDialect extends KyselyPostgresDialect {
  constructor(options: Options) {
    super({ pool: () => Promise.resolve(translating(createPool(options))) });
  }

  override createAdapter(): PostgresAdapter {
    return new BoundedAdapter();
  }
}

/** Migrates under a lock that `lock_timeout` bounds: Kysely's own is waited for up to an hour. */
class BoundedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`select pg_advisory_lock(${sql.lit(MIGRATIONS_LOCK)})`.execute(db);
  }

  override async releaseMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`select pg_advisory_unlock(${sql.lit(MIGRATIONS_LOCK)})`.execute(db);
  }
}

function createPool(options: Options): pg.Pool {
  const { url, connections = 10, onIdleError, readOnly = false } = options;
  const { statementTimeout = STATEMENT_TIMEOUT, lockTimeout = statementTimeout } = options;
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'latchkey',
    max: connections,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    // The server ends a statement that takes too long; this is for a server that fell silent.
    query_timeout: statementTimeout === 0 ? undefined : statementTimeout + ANSWER_TIMEOUT,
    keepAlive: true,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- pg awaits it
    onConnect: (client) => setUp(client, { statementTimeout, lockTimeout, readOnly }),
    // Times and counters, all of them far below 2^53.
    types: {
      getTypeParser: (oid: number, format?: 'text') =>
        oid === INT8 ? Number : (pg.types.getTypeParser(oid, format) as (value: string) => unknown),
    } as pg.CustomTypesConfig,
  });
  // Without a listener, an idle connection that the server closes would end the process.
  pool.on('error', (error) => onIdleError?.(error));
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** Everything is set, 0 included: the server, the database and the role may have other defaults. */
async function setUp(
  client: pg.ClientBase,
  settings: { statementTimeout: number; lockTimeout: number; readOnly: boolean },
): Promise<void> {
  const { statementTimeout, lockTimeout, readOnly } = settings;
  await client.query({
    text: `
      set session characteristics as transaction isolation level read committed;
      ${readOnly ? 'set default_transaction_read_only = on;' : ''}
      set statement_timeout = ${statementTimeout};
      set lock_timeout = ${lockTimeout};
      set idle_in_transaction_session_timeout = ${statementTimeout};
    `,
    query_timeout: CONNECT_TIMEOUT,
  } as pg.QueryConfig);
}

/** The pool as Kysely sees it: what means "the database is not there" is named so. */
function translating(pool: pg.Pool): PostgresPool {
  return {
    connect: async () => {
      try {
        return new TranslatingClient(await pool.connect()) as unknown as PostgresPoolClient;
      } catch (error) {
        throw translated(error);
      }
    },
    end: () => pool.end(),
  };
}

class TranslatingClient {
  #silent = false;

  constructor(private readonly client: pg.PoolClient) {}

  async query(text: string, parameters: unknown[]): Promise<pg.QueryResult> {
    // A rollback after a statement that was given up would wait as long again.
    if (this.#silent) throw databaseUnavailable(new Error('The connection was given up'));
    try {
      return await this.client.query(text, parameters);
    } catch (error) {
      this.#silent = !(error instanceof pg.DatabaseError);
      throw translated(error);
    }
  }

  /** pg would lend a connection again on which an answer is still due: it is closed instead. */
  release(): void {
    this.client.release(this.#silent);
  }
}

function translated(error: unknown): unknown {
  return isUnavailable(error) ? databaseUnavailable(error) : error;
}

/**
 * Connection exceptions (class 08), resources (53), operator intervention such as a shutdown or a
 * cancelled statement (57), a server that became a standby (25006), lock and serialization
 * failures, the network's own codes, and what pg says without a code.
 */
function isUnavailable(error: unknown): boolean {
  const { code, message } = error as Partial<pg.DatabaseError>;
  if (typeof code === 'string') {
    return /^(08...|53...|57...|25006|25P03|55P03|40001|40P01|E[A-Z]+|EAI_AGAIN)$/.test(code);
  }
  return /connection|timeout|terminated|not queryable/i.test(message ?? '');
}
