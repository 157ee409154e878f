// Fills a database with what years bring, faster than years: rows that the database makes itself.
import { sql } from 'kysely';
import { makeSeal, RowDigests } from '../dist/audit-seals/seal.js';
import { lastLink, readRows } from '../dist/audit-seals/seal-store.js';
import { waitToBeOnlySealer } from '../dist/audit-seals/settled-rows.js';
import { isPostgres } from '../dist/database/database.js';

/** Rows of one statement: the server answers others in between. */
const BATCH = 20_000;

/** Users who never log in, `many-0000000` and so on. */
export async function createUsers(db, { count }) {
  await inBatches(count, (numbers) =>
    sql`
      insert into users (id, username, canonical_username, password_hash, password_version, gen,
        roles, created_at)
      ${numbers}
      select ${randomId(db)}, name, name, '', 1, 1, 'user', ${sql.lit(Date.now())}
      from (select ${nameOf(sql`i`)} as name from n) as names
    `.execute(db),
  );
}

/** As many users, and sessions of theirs, each of which has as many. */
export async function openSessions(db, { count, users }) {
  await createUsers(db, { count: users });
  const now = sql.lit(Date.now());
  const end = sql`${now} + 86400000`;
  await inBatches(count, (numbers) =>
    sql`
      insert into sessions (id, user_id, scopes, auth_time, refresh_id, counter, rotated_at,
        idle_expires_at, expires_at, access_expires_at, address, user_agent)
      ${numbers}
      select ${randomId(db)}, users.id, 'profile', ${now}, ${randomId(db)}, 0, ${now},
        ${end}, ${end}, ${now}, '127.0.0.1', 'bench'
      from n join users on canonical_username = ${nameOf(sql`i % ${sql.lit(users)}`)}
    `.execute(db),
  );
}

/**
 * An audit of logins that came one by one, as most do: each is under a seal of its own, which is
 * the most that there is to check.
 */
export async function writeAudit(db, { count, key }) {
  const now = sql.lit(Date.now());
  await inBatches(count, (numbers) =>
    // One transaction, or the server's own sealer would come in between.
    db.transaction().execute(async (trx) => {
      await waitToBeOnlySealer(trx);
      await sql`
        insert into audit (at, event, user_id, actor, address, session_id, detail)
        ${numbers}
        select ${now} + i, 'authn_login_success', ${randomId(db)}, ${randomId(db)},
          '127.0.0.1', ${randomId(db)}, '{"user_agent":"bench"}' from n
      `.execute(trx);
      while (await sealSome(trx, key));
    }),
  );
}

/** @returns whether there was anything left to seal */
async function sealSome(trx, key) {
  let last = await lastLink(trx);
  const rows = await readRows(trx, last.last_row);
  if (rows.length === 0) return false;
  const seals = rows.map((row) => {
    const digests = new RowDigests();
    digests.add(row);
    last = makeSeal(last, digests, row.at, key);
    return last;
  });
  await trx.insertInto('audit_seals').values(seals).execute();
  return true;
}

/** @param insert takes the common table expression `n`, with the numbers `i` of a batch */
async function inBatches(count, insert) {
  for (let first = 0; first < count; first += BATCH) {
    const last = Math.min(first + BATCH, count) - 1;
    await insert(sql`
      with recursive n(i) as (
        select ${sql.lit(first)} union all select i + 1 from n where i < ${sql.lit(last)}
      )
    `);
  }
}

const nameOf = (number) => sql`'many-' || substr(cast(10000000 + ${number} as text), 2)`;

const randomId = (db) =>
  isPostgres(db) ? sql`gen_random_uuid()::text` : sql`lower(hex(randomblob(16)))`;
