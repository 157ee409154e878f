import { Inject, Injectable } from '@nestjs/common';
import { Audit } from '../audit/audit.js';
import { Database } from '../database/database.js';
import { type Actor, by } from './actor.js';

const PAGE = 1_000;

/** Writes users as `readUserLine` reads them. */
@Injectable()
export class UserExport {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly audit: Audit,
  ) {}

  /**
   * All users with their password hashes, in the order of their names, page by page. Noted in the
   * audit before the first one is read.
   */
  async *pages(actor: Actor): AsyncGenerator<string[]> {
    await this.audit.record(this.db, { event: 'users_exported', userId: null, ...by(actor) });
    for (let after = ''; ;) {
      const rows = await this.db
        .selectFrom('users')
        .select([
          'id',
          'username',
          'canonical_username',
          'password_hash',
          'roles',
          'disabled_at',
          'created_at',
          'password_expires_at',
        ])
        .where('canonical_username', '>', after)
        .orderBy('canonical_username')
        .limit(PAGE)
        .execute();
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows.map((row) =>
        JSON.stringify({
          id: row.id,
          username: row.username,
          password_hash: row.password_hash,
          roles: row.roles.split(' '),
          disabled: row.disabled_at !== null,
          created_at: rfc3339(row.created_at),
          ...(row.password_expires_at !== null && {
            password_expires_at: rfc3339(row.password_expires_at),
          }),
        }),
      );
      after = last.canonical_username;
    }
  }
}

const rfc3339 = (time: number): string => new Date(time).toISOString();
