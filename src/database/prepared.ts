import type { Compilable, CompiledQuery } from 'kysely';
import { type Executor, isPostgres } from './database.js';

const nameEach = (): never => {
  throw new TypeError('The values are not known before the statement runs: name each of them');
};

/** Stands in a statement for a value that each run brings. */
class Slot {
  constructor(readonly name: string) {}

  /** A statement is built once: what is computed of a value would be computed of nothing. */
  [Symbol.toPrimitive](): never {
    throw new TypeError(`${this.name} is not known before the statement runs`);
  }
}

/**
 * A statement that is built and compiled at its first run, and not at each: for the few that every
 * login and every refresh runs, since to build them is a fifth of what a refresh computes.
 *
 * @param build is given a stand-in for each value; it may hand each on as a value, and do nothing else with it
 * @returns runs the statement, on the database or in a transaction, and gives its rows
 */
export function prepared<Values extends object, Row>(
  build: (executor: Executor, values: Values) => Compilable<Row>,
): (executor: Executor, values: Values) => Promise<Row[]> {
  const compiled: { postgres?: CompiledQuery<Row>; sqlite?: CompiledQuery<Row> } = {};
  return async (executor, values) => {
    const kind = isPostgres(executor) ? 'postgres' : 'sqlite';
    const query = (compiled[kind] ??= build(executor, slots<Values>()).compile());
    const parameters = query.parameters.map((parameter) =>
      parameter instanceof Slot ? values[parameter.name as keyof Values] : parameter,
    );
    const { rows } = await executor.executeQuery<Row>({ ...query, parameters });
    return rows;
  };
}

function slots<Values extends object>(): Values {
  return new Proxy({} as Values, { get: (_, name) => new Slot(String(name)), ownKeys: nameEach });
}
