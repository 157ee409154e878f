import { Inject, Injectable } from '@nestjs/common';
import { Database, isPostgres } from '../database/database.js';
import { tokenRevoked } from '../errors.js';
import type { Revocation } from '../revocation/revocation.js';
import { Revocations } from '../revocation/revocations.js';
import { Sessions } from '../sessions/sessions.js';

/** What ends an account, and every token with it. */
@Injectable()
export class Account {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly sessions: Sessions,
    private readonly revocations: Revocations,
  ) {}

  /**
   * Deletes the user and the sessions, and refuses the access tokens that are still alive: at
   * once in this process, within a poll in every other.
   * @throws token_revoked when the user is gone already
   */
  async delete(userId: string): Promise<void> {
    const revocations = await this.db.transaction().execute(async (trx) => {
      // The user's row is locked first: a login that waits for it finds the user gone.
      const user = await trx
        .selectFrom('users')
        .select('gen')
        .where('id', '=', userId)
        .$if(isPostgres(trx), (query) => query.forUpdate())
        .executeTakeFirst();
      if (user === undefined) throw tokenRevoked();
      const revocation = await this.sessions.revocationOfUser(trx, userId, user.gen + 1);
      const written: Revocation[] = revocation ? [revocation] : [];
      await this.revocations.write(trx, written);
      await trx.deleteFrom('users').where('id', '=', userId).execute();
      return written;
    });
    this.revocations.apply(revocations);
  }
}
