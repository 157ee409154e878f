import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  PostgresDialect as KyselyPostgresDialect,
  type QueryResult,
} from 'kysely';
import pg from 'pg';
import { databaseUnavailable } from './unavailable.js';

const CONNECT_TIMEOUT = 2_000;
const STATEMENT_TIMEOUT = 5_000;
const INT8 = 20;

interface Options {
  url: string;
  /** Milliseconds, 0 for none: waiting for the migration lock counts against it. */
  statementTimeout?: number;
  onIdleError?: (error: Error) => void;
}

/**
 * Kysely on PostgreSQL: READ COMMITTED whatever the server's default, every wait bounded, bigint
 * as a number, and a lost connection as `temporarily_unavailable`.
 */
export class PostgresDialect extends KyselyPostgresDialect {
  constructor(options: Options) {
    super({
      pool: () => Promise.resolve(createPool(options)),
      onCreateConnection: async (connection) => {
        await connection.executeQuery(
          CompiledQuery.raw(
            'set session characteristics as transaction isolation level read committed',
          ),
        );
      },
    });
  }

  override createDriver(): Driver {
    return new TranslatingDriver(super.createDriver());
  }
}

function createPool({ url, statementTimeout = STATEMENT_TIMEOUT, onIdleError }: Options): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'latchkey',
    max: 10,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: statementTimeout || undefined,
    idle_in_transaction_session_timeout: statementTimeout || undefined,
    keepAlive: true,
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

/** Passes everything on, and names the errors that mean "the database is not there". */
class TranslatingDriver implements Driver {
  readonly #connections = new WeakMap<DatabaseConnection, DatabaseConnection>();

  constructor(private readonly driver: Driver) {}

  init = (): Promise<void> => this.driver.init();
  destroy = (): Promise<void> => this.driver.destroy();

  async acquireConnection(): Promise<DatabaseConnection> {
    const inner = await translated(() => this.driver.acquireConnection());
    const outer: DatabaseConnection = {
      executeQuery: <R>(query: CompiledQuery): Promise<QueryResult<R>> =>
        translated(() => inner.executeQuery<R>(query)),
      streamQuery: <R>(query: CompiledQuery, size: number) => inner.streamQuery<R>(query, size),
    };
    this.#connections.set(outer, inner);
    return outer;
  }

  beginTransaction: Driver['beginTransaction'] = (connection, settings) =>
    translated(() => this.driver.beginTransaction(this.#inner(connection), settings));
  commitTransaction: Driver['commitTransaction'] = (connection) =>
    translated(() => this.driver.commitTransaction(this.#inner(connection)));
  rollbackTransaction: Driver['rollbackTransaction'] = (connection) =>
    translated(() => this.driver.rollbackTransaction(this.#inner(connection)));
  releaseConnection: Driver['releaseConnection'] = (connection) =>
    this.driver.releaseConnection(this.#inner(connection));

  #inner(connection: DatabaseConnection): DatabaseConnection {
    return this.#connections.get(connection) ?? connection;
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isUnavailable(error) ? databaseUnavailable(error) : error;
  }
}

/**
 * Connection exceptions (class 08), resources (53), operator intervention such as a shutdown or a
 * cancelled statement (57), lock and serialization failures (55P03, 40001, 40P01), the network's
 * own codes, and what pg says without a code.
 */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') {
    return /^(08...|53...|57...|55P03|40001|40P01|25P03|E[A-Z]+)$/.test(code);
  }
  return /connection|timeout|terminated|not queryable/i.test(error.message);
}
