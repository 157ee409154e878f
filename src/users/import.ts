import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Transaction } from 'kysely';
import { Audit } from '../audit/audit.js';
import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import type { Schema } from '../database/schema.js';
import { type Actor, by } from './actor.js';
import type { BroughtUser } from './import-line.js';

/** What became of each user of a batch: whose name or whose id is taken is left as is. */
export type ImportOutcome = 'imported' | 'name_taken' | 'id_taken';

/** Brings users with the hashes that they have elsewhere. */
@Injectable()
export class UserImport {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
    private readonly audit: Audit,
  ) {}

  /**
   * Creates a batch of users in one transaction, with one audit entry. Nobody who exists is
   * changed, so that what was interrupted can be done again.
   *
   * @param users a thousand at most: SQLite takes 32,766 parameters
   * @returns one outcome a user, in their order
   */
  import(users: readonly BroughtUser[], actor: Actor): Promise<ImportOutcome[]> {
    return this.db.transaction().execute(async (trx) => {
      const outcomes = await this.#insert(trx, users);
      const count = outcomes.filter((outcome) => outcome === 'imported').length;
      if (count > 0) {
        const detail = { count };
        await this.audit.record(trx, {
          event: 'users_imported',
          userId: null,
          ...by(actor),
          detail,
        });
      }
      return outcomes;
    });
  }

  /** What `import` would do, of which nothing stays. */
  async rehearse(users: readonly BroughtUser[]): Promise<ImportOutcome[]> {
    const trx = await this.db.startTransaction().execute();
    try {
      return await this.#insert(trx, users);
    } finally {
      await trx.rollback().execute();
    }
  }

  async #insert(trx: Transaction<Schema>, users: readonly BroughtUser[]): Promise<ImportOutcome[]> {
    if (users.length === 0) return [];
    const now = this.clock.now();
    const gens = await revokedGens(trx, users);
    const inserted = await trx
      .insertInto('users')
      .values(
        users.map((user) => ({
          id: user.id ?? randomUUID(),
          username: user.username,
          canonical_username: user.canonicalUsername,
          password_hash: user.passwordHash,
          password_version: 1,
          gen: gens.get(user.id ?? '') ?? 1,
          roles: user.roles.join(' '),
          created_at: user.createdAt ?? now,
          disabled_at: user.disabled ? now : null,
          password_expires_at: user.passwordExpiresAt,
        })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning('canonical_username')
      .execute();
    const imported = new Set(inserted.map((row) => row.canonical_username));
    const rest = users.filter((user) => !imported.has(user.canonicalUsername));
    const taken = await takenNames(trx, rest);
    return users.map(({ canonicalUsername }) => {
      if (imported.has(canonicalUsername)) return 'imported';
      return taken.has(canonicalUsername) ? 'name_taken' : 'id_taken';
    });
  }
}

/**
 * The generations below which tokens of these ids are refused: a user who was deleted and comes
 * back must get tokens that are not, while those of before stay refused.
 */
async function revokedGens(
  trx: Transaction<Schema>,
  users: readonly BroughtUser[],
): Promise<Map<string, number>> {
  const ids = users.map(({ id }) => id).filter((id) => id !== undefined);
  if (ids.length === 0) return new Map();
  const rows = await trx
    .selectFrom('revocations')
    .select(['subject', ({ fn }) => fn.max('gen').as('gen')])
    .where('kind', '=', 'sub')
    .where('subject', 'in', ids)
    .groupBy('subject')
    .execute();
  return new Map(rows.map(({ subject, gen }) => [subject, gen ?? 1]));
}

async function takenNames(
  trx: Transaction<Schema>,
  users: readonly BroughtUser[],
): Promise<Set<string>> {
  if (users.length === 0) return new Set();
  const names = users.map(({ canonicalUsername }) => canonicalUsername);
  const rows = await trx
    .selectFrom('users')
    .select('canonical_username')
    .where('canonical_username', 'in', names)
    .execute();
  return new Set(rows.map((row) => row.canonical_username));
}
