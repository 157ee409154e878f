import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import { type Checkpoint, makeCheckpoint, type Seal } from './seal.js';
import { SealKeys } from './seal-keys.js';
import { lastCheckpoint } from './seal-store.js';
import { waitToBeOnlySealer } from './settled-rows.js';
import { fromCheckpoint, walk } from './walk.js';

/** Rows that go at once, at least: on SQLite everybody waits for them. */
const BATCH = 500;
/** Milliseconds in between. */
const PAUSE = 20;

/**
 * Deletes the oldest seals with all that they cover. A checkpoint, which is never deleted and needs
 * the secret, says in the same transaction what went; the triggers refuse to delete anything else.
 */
@Injectable()
export class AuditPruning {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    private readonly keys: SealKeys,
  ) {}

  /**
   * @param before epoch milliseconds: what was sealed since is kept
   * @param stop ends it before all is gone
   * @returns how many rows were deleted
   * @throws AuditFault when what would go is not what was sealed: it is evidence
   */
  async prune(before: number, actor: 'cli' | 'retention', stop?: AbortSignal): Promise<number> {
    let pruned = 0;
    while (stop?.aborted !== true) {
      const rows = await fromCheckpoint(this.db, (checkpoint) =>
        this.#pruneBatch(checkpoint, before, actor),
      );
      if (rows === undefined) break;
      pruned += rows;
      // Promises alone would never let a request in: SQLite answers at once.
      await sleep(PAUSE);
    }
    return pruned;
  }

  /** @returns how many rows went; undefined when there is nothing to delete */
  async #pruneBatch(
    checkpoint: Checkpoint | undefined,
    before: number,
    actor: string,
  ): Promise<number | undefined> {
    const gone = await this.#oldest(checkpoint, before);
    if (gone === undefined) return undefined;
    return this.db.transaction().execute(async (trx) => {
      await waitToBeOnlySealer(trx);
      const last = await lastCheckpoint(trx);
      if (last?.id !== checkpoint?.id) return 0; // somebody else prunes
      await trx
        .insertInto('audit_checkpoints')
        .values(
          makeCheckpoint(
            (last?.id ?? 0) + 1,
            gone,
            { at: this.clock.now(), actor },
            this.keys.current,
          ),
        )
        .execute();
      await trx.deleteFrom('audit_seals').where('id', '<=', gone.id).execute();
      const { numDeletedRows } = await trx
        .deleteFrom('audit')
        .where('id', '<=', gone.last_row)
        .executeTakeFirstOrThrow();
      return Number(numDeletedRows);
    });
  }

  /** The last of the seals that can go together. */
  async #oldest(checkpoint: Checkpoint | undefined, before: number): Promise<Seal | undefined> {
    let gone: Seal | undefined;
    for await (const { seal, proven } of walk(this.db, this.keys, checkpoint)) {
      if (seal.at >= before) break;
      if (proven) gone = seal;
      if (gone !== undefined && gone.total - (checkpoint?.total ?? 0) >= BATCH) break;
    }
    return gone;
  }
}
