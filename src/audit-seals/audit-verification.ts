import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import type { Checkpoint, Link } from './seal.js';
import { SealKeys } from './seal-keys.js';
import { lastCheckpoint, lastLink } from './seal-store.js';
import { AuditFault, fromCheckpoint, NO_SECRET, walk } from './walk.js';

/** What somebody noted of a seal, from the log. */
export interface Head {
  seal: number;
  mac: string;
}

export interface VerifiedAudit {
  seals: number;
  /** That are there, and are what was sealed. */
  rows: number;
  /** That were sealed and are gone, by the will of the operator. */
  pruned: number;
  /** The last seal, with how many rows were ever sealed. */
  head: (Head & { rows: number }) | undefined;
  /** Whether the head that was expected is so old that it is gone, with its rows. */
  expectedIsPruned: boolean;
  /** What no seal covers yet. */
  unsealed: { rows: number; since: number | undefined };
}

export type Verdict = { intact: true; audit: VerifiedAudit } | { intact: false; fault: AuditFault };

/** Tells whether the audit is what was written. */
@Injectable()
export class AuditVerification {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly keys: SealKeys,
  ) {}

  /**
   * Reads all of it, with flat memory.
   * @param expected must be among the seals: without it, a tail that was cut off does not show
   * @param progress is called now and then with the number of rows read
   */
  async verify(
    expected?: Head,
    progress: (rows: number) => void = () => undefined,
  ): Promise<Verdict> {
    try {
      const audit = await fromCheckpoint(this.db, (checkpoint) =>
        this.#verify(checkpoint, expected, progress),
      );
      return { intact: true, audit };
    } catch (error) {
      if (error instanceof AuditFault) return { intact: false, fault: error };
      throw error;
    }
  }

  async #verify(
    checkpoint: Checkpoint | undefined,
    expected: Head | undefined,
    progress: (rows: number) => void,
  ): Promise<VerifiedAudit> {
    const pruned = checkpoint?.total ?? 0;
    let seals = 0;
    let head: Link | undefined = checkpoint && {
      ...checkpoint,
      id: checkpoint.seal_id,
      mac: checkpoint.seal_mac,
    };
    let unproven: number | undefined;
    let found = expected === undefined || isHead(expected, head);
    for await (const { seal, proven } of walk(this.db, this.keys, checkpoint)) {
      seals++;
      head = seal;
      unproven = proven ? undefined : (unproven ?? seal.id);
      found ||= isHead(expected, seal);
      progress(seal.total - pruned);
    }
    if (unproven !== undefined) {
      throw new AuditFault(`the seals from ${unproven} on are under ${NO_SECRET}`, {
        seal: unproven,
      });
    }
    const expectedIsPruned = !found && expected!.seal < (checkpoint?.seal_id ?? 0);
    if (!found && !expectedIsPruned) {
      throw new AuditFault(
        `seal ${expected!.seal} is not the one that is expected: an end was cut off, or all was replaced`,
        { seal: expected!.seal },
      );
    }
    return {
      seals,
      rows: (head?.total ?? 0) - pruned,
      pruned,
      head: head && { seal: head.id, mac: head.mac, rows: head.total },
      expectedIsPruned,
      unsealed: await this.#unsealed(head?.last_row ?? 0),
    };
  }

  /** How many rows there are to read, for whoever waits. */
  async count(): Promise<number> {
    const [{ total }, checkpoint] = [await lastLink(this.db), await lastCheckpoint(this.db)];
    return total - (checkpoint?.total ?? 0);
  }

  async #unsealed(lastRow: number): Promise<VerifiedAudit['unsealed']> {
    const { rows, since } = await this.db
      .selectFrom('audit')
      .select(({ fn }) => [
        fn.countAll<number>().as('rows'),
        fn.min<number | null>('at').as('since'),
      ])
      .where('id', '>', lastRow)
      .executeTakeFirstOrThrow();
    return { rows, since: since ?? undefined };
  }
}

const isHead = (expected: Head | undefined, link: Link | undefined): boolean =>
  expected !== undefined && expected.seal === link?.id && expected.mac === link.mac;
