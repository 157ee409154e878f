import { prepared } from '../database/prepared.js';
import type { AttemptsTable } from '../database/schema.js';

/** What is counted. */
export type Kind = 'account' | 'address' | 'pair';

/** Of the rows that count an attempt; an attempt without an account has the address's alone. */
export type Keys = { address: string } & Partial<Record<Kind, string>>;

type Values<Name extends string> = Keys & Record<Name, number>;

/** The statements on the rows of one attempt, in the order in which every attempt locks them. */
function statementsOn(...kinds: Kind[]) {
  const rows = (keys: Keys, count: number, endsAt: number): AttemptsTable[] =>
    kinds.map((kind) => ({ key: keys[kind]!, count, ends_at: endsAt }));
  return {
    /** One more, or the first of a new window. */
    count: prepared((executor, values: Values<'now' | 'endsAt'>) =>
      executor
        .insertInto('attempts')
        .values(rows(values, 1, values.endsAt))
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet(({ eb, or, ref }) => {
            // A window that ends later than one from now on was opened before the clock went back.
            const over = or([
              eb('attempts.ends_at', '<=', values.now),
              eb('attempts.ends_at', '>', values.endsAt),
            ]);
            return {
              count: eb
                .case()
                .when(over)
                .then(ref('excluded.count'))
                .else(eb('attempts.count', '+', 1))
                .end(),
              ends_at: eb
                .case()
                .when(over)
                .then(ref('excluded.ends_at'))
                .else(ref('attempts.ends_at'))
                .end(),
            };
          }),
        )
        .returning(['key', 'count', 'ends_at']),
    ),
    /**
     * The address's one, and all of the others. An insert, though the rows are there: it locks them
     * in their order, so that two of one account never wait for each other.
     */
    giveBack: prepared((executor, values: Values<'now'>) =>
      executor
        .insertInto('attempts')
        .values(rows(values, 0, values.now))
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet(({ eb, and }) => ({
            count: eb
              .case()
              .when(and([eb('attempts.key', '=', values.address), eb('attempts.count', '>', 0)]))
              .then(eb('attempts.count', '-', 1))
              .else(0)
              .end(),
          })),
        ),
    ),
    /** One of each, in windows that end no later than `endsAt`: an insert for the same reason. */
    refund: prepared((executor, values: Values<'now' | 'endsAt'>) =>
      executor
        .insertInto('attempts')
        .values(rows(values, 0, values.now))
        .onConflict((conflict) =>
          conflict
            .column('key')
            .doUpdateSet(({ eb }) => ({ count: eb('attempts.count', '-', 1) }))
            .where('attempts.count', '>', 0)
            .where('attempts.ends_at', '<=', values.endsAt),
        ),
    ),
  };
}

const OF_ACCOUNT = statementsOn('account', 'address', 'pair');
const OF_ADDRESS = statementsOn('address');

/** Those for an attempt. */
export const statements = ({ account }: Keys): typeof OF_ACCOUNT =>
  account === undefined ? OF_ADDRESS : OF_ACCOUNT;

interface Sighting {
  account: string;
  address: string;
  seenAt: number;
  seenRecently: number;
}

/** Makes an address known to an account. @returns nothing where it was seen recently */
export const remember = prepared((executor, { account, address, seenAt, seenRecently }: Sighting) =>
  executor
    .insertInto('known_addresses')
    .values({ account, address, seen_at: seenAt })
    .onConflict((conflict) =>
      conflict
        .columns(['account', 'address'])
        .doUpdateSet({ seen_at: seenAt })
        .where('known_addresses.seen_at', '<=', seenRecently),
    )
    .returning('address'),
);
