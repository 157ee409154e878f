import type { Executor } from '../database/database.js';
import {
  type AuditRow,
  BEGINNING,
  chainOf,
  type Checkpoint,
  isGenuineCheckpoint,
  isGenuineSeal,
  type Link,
  linkOf,
  RowDigests,
  type Seal,
} from './seal.js';
import type { SealKeys } from './seal-keys.js';
import { lastCheckpoint, readRows, readSeals } from './seal-store.js';

/** The audit is not what was sealed. */
export class AuditFault extends Error {
  /** @param at the row or the seal where it shows first */
  constructor(
    message: string,
    readonly at: { row?: number; seal?: number },
  ) {
    super(message);
    this.name = 'AuditFault';
  }
}

interface Step {
  seal: Seal;
  /** False under a secret that is not set: a later seal has to prove it. */
  proven: boolean;
}

/**
 * Follows the seals from the last checkpoint on, and reads the rows that each covers, a page at a
 * time. Also reads what stands before the checkpoint, where nothing should be.
 * @throws AuditFault at the first row or seal that is not as it was
 */
export async function* walk(
  executor: Executor,
  keys: SealKeys,
  checkpoint: Checkpoint | undefined,
): AsyncGenerator<Step> {
  let previous = beginning(checkpoint, keys);
  await refuseRemains(executor, previous);
  const rows = new RowReader(executor, previous.last_row);
  for await (const page of readSeals(executor, previous.id)) {
    rows.bound = Math.max(...page.map(({ last_row }) => last_row));
    for (const seal of page) {
      if (seal.id !== previous.id + 1) throw missingSeal(previous.id + 1);
      const proven = compare(seal, previous, await rows.digests(seal.last_row), keys);
      yield { seal, proven };
      previous = seal;
    }
  }
}

/**
 * @returns whether its MAC was checked
 * @throws AuditFault where the rows or the seal are not what they were
 */
function compare(seal: Seal, previous: Link, rows: RowDigests, keys: SealKeys): boolean {
  compareRows(seal, rows);
  const key = keys.find(seal.secret_id);
  const intact =
    seal.total === previous.total + rows.count &&
    seal.chain === chainOf(previous, seal, rows.whole()) &&
    (key === undefined || isGenuineSeal(seal, key));
  if (!intact) throw changedSeal(seal);
  return key !== undefined;
}

/** @throws AuditFault for a checkpoint that nobody with the secret wrote */
function beginning(checkpoint: Checkpoint | undefined, keys: SealKeys): Link {
  if (checkpoint === undefined) return BEGINNING;
  const key = keys.find(checkpoint.secret_id);
  const at = { seal: checkpoint.seal_id };
  if (key === undefined) {
    throw new AuditFault(`the checkpoint of seal ${at.seal} is under ${NO_SECRET}`, at);
  }
  if (!isGenuineCheckpoint(checkpoint, key)) {
    throw new AuditFault(`the checkpoint of seal ${at.seal} was changed, or is not ours`, at);
  }
  return linkOf(checkpoint);
}

export const NO_SECRET =
  'a secret that is neither KEY_ENCRYPTION_SECRET nor KEY_ENCRYPTION_SECRET_PREVIOUS';

/** What a checkpoint says is gone went in its transaction. */
async function refuseRemains(executor: Executor, { id, last_row }: Link): Promise<void> {
  const [row] = await readRows(executor, Number.MIN_SAFE_INTEGER, last_row);
  if (row !== undefined) {
    throw new AuditFault(`row ${row.id} was added before the first row that is sealed`, {
      row: row.id,
    });
  }
  const seal = await executor
    .selectFrom('audit_seals')
    .select('id')
    .where('id', '<=', id)
    .limit(1)
    .executeTakeFirst();
  if (seal !== undefined) {
    throw new AuditFault(`seal ${seal.id} was added before the first one`, { seal: seal.id });
  }
}

const changedSeal = ({ id }: Seal) =>
  new AuditFault(`seal ${id} was changed, or is not ours`, { seal: id });

const missingSeal = (seal: number) => new AuditFault(`seal ${seal} is missing`, { seal });

/** @throws AuditFault that names the first row that is not as it was sealed */
function compareRows(seal: Seal, found: RowDigests): void {
  if (seal.digests === found.shown) return;
  const [sealed, there] = [entries(seal.digests), entries(found.shown)];
  let i = 0;
  while (i < sealed.length && sealed[i]!.text === there[i]?.text) i++;
  const [expected, actual] = [sealed[i]?.id ?? Infinity, there[i]?.id ?? Infinity];
  const row = Math.min(expected, actual);
  if (!Number.isSafeInteger(row)) throw changedSeal(seal);
  const what = actual === expected ? 'was changed' : actual > expected ? 'is missing' : 'was added';
  throw new AuditFault(`row ${row} ${what} (seal ${seal.id})`, { row });
}

const entries = (digests: string) =>
  digests
    .split(' ')
    .filter((text) => text !== '')
    .map((text) => ({ text, id: Number(text.split(':')[0]) }));

/** Reads rows in order, and keeps no more than a page of them. */
class RowReader {
  #page: AuditRow[] = [];
  #next = 0;
  /** The greatest id that is read: what no seal covers yet can still get rows in between. */
  bound = 0;

  constructor(
    private readonly executor: Executor,
    private after: number,
  ) {}

  /** Of all rows that come next, up to an id. */
  async digests(upTo: number): Promise<RowDigests> {
    const digests = new RowDigests();
    for (;;) {
      while (this.#next < this.#page.length) {
        const row = this.#page[this.#next]!;
        if (row.id > upTo) return digests;
        digests.add(row);
        this.after = row.id;
        this.#next++;
      }
      this.#page = await readRows(this.executor, this.after, this.bound);
      this.#next = 0;
      if (this.#page.length === 0) return digests;
    }
  }
}

/**
 * Does something with the last checkpoint, once more when another one came meanwhile: then the
 * fault was that rows had gone as they should.
 */
export async function fromCheckpoint<T>(
  executor: Executor,
  work: (checkpoint: Checkpoint | undefined) => Promise<T>,
): Promise<T> {
  for (;;) {
    const checkpoint = await lastCheckpoint(executor);
    try {
      return await work(checkpoint);
    } catch (error) {
      if (!(error instanceof AuditFault)) throw error;
      if ((await lastCheckpoint(executor))?.id === checkpoint?.id) throw error;
    }
  }
}
