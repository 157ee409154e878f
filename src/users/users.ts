import { Inject, Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Clock } from '../clock.js';
import { Database, isPostgres } from '../database/database.js';
import { prepared } from '../database/prepared.js';
import { canonicalUsername } from './username.js';

/** A user as other modules see one. */
export interface User {
  id: string;
  /** As its owner wrote it. */
  username: string;
  roles: readonly string[];
  disabled: boolean;
  /** Epoch milliseconds. */
  createdAt: number;
}

/** What a login compares with. */
export interface StoredCredentials {
  userId: string;
  passwordHash: string;
  passwordVersion: number;
  /** Disabled, or with a password that was made for the user and not changed in time. */
  refused: boolean;
}

const COLUMNS = ['id', 'username', 'roles', 'disabled_at', 'created_at'] as const;

/** The user lookup. */
@Injectable()
export class Users {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  async findById(id: string): Promise<User | undefined> {
    const row = await this.db
      .selectFrom('users')
      .select(COLUMNS)
      .where('id', '=', id)
      .executeTakeFirst();
    return row && toUser(row);
  }

  /** @param username in any spelling */
  async findByUsername(username: string): Promise<User | undefined> {
    const row = await this.db
      .selectFrom('users')
      .select(COLUMNS)
      .where('canonical_username', '=', canonicalUsername(username) ?? '')
      .executeTakeFirst();
    return row && toUser(row);
  }

  /**
   * A page of users in the order of their names, by code points.
   * @param after the name that the last page ended with
   * @param search what the names begin with, in any spelling
   */
  async list(limit: number, after = '', search = ''): Promise<User[]> {
    const prefix = canonicalUsername(search);
    if (search !== '' && prefix === undefined) return [];
    const name = inCodePoints(this.db);
    const rows = await this.db
      .selectFrom('users')
      .select(COLUMNS)
      .where(name, '>', canonicalUsername(after) ?? '')
      .$if(prefix !== undefined, (query) =>
        query.where(name, '>=', prefix!).where(name, '<', `${prefix!}\u{10ffff}`),
      )
      .orderBy(name)
      .limit(limit)
      .execute();
    return rows.map(toUser);
  }

  /** @param username as somebody typed it */
  async findCredentials(username: string): Promise<StoredCredentials | undefined> {
    // No stored name is empty, so that a name that cannot be costs the same look-up.
    const [row] = await selectCredentials(this.db, { name: canonicalUsername(username) ?? '' });
    return (
      row && {
        userId: row.id,
        passwordHash: row.password_hash,
        passwordVersion: row.password_version,
        refused:
          row.disabled_at !== null || (row.password_expires_at ?? Infinity) <= this.clock.now(),
      }
    );
  }
}

const selectCredentials = prepared((executor, { name }: { name: string }) =>
  executor
    .selectFrom('users')
    .select(['id', 'password_hash', 'password_version', 'password_expires_at', 'disabled_at'])
    .where('canonical_username', '=', name),
);

/**
 * Names in the order of code points, on both databases: what begins with a prefix is a range of
 * it, which an index finds, where a pattern would have every name read.
 */
const inCodePoints = (db: Database) =>
  isPostgres(db) ? sql<string>`canonical_username collate "C"` : sql<string>`canonical_username`;

function toUser(row: {
  id: string;
  username: string;
  roles: string;
  disabled_at: number | null;
  created_at: number;
}): User {
  return {
    id: row.id,
    username: row.username,
    roles: row.roles.split(' '),
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
  };
}
