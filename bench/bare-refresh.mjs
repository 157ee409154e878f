// The least that a refresh costs: signing one token, and one committed update of a session in a
// database like the server's, indexes and all.
import { generateKeyPairSync } from 'node:crypto';
import { dirname } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { JwtService } from '@nestjs/jwt';
import { Database } from '../dist/database/database.js';
import { migrate, MIGRATIONS } from '../dist/database/migrate.js';
import { SqliteDialect } from '../dist/database/sqlite.js';
import { serve } from './child.mjs';
import { openSessions } from './planting.mjs';

const SESSIONS = 16;
const MINUTES_30 = 1_800_000;

const file = process.env.FILE;
const made = new Database({ dialect: new SqliteDialect({ file, directory: dirname(file) }) });
await migrate(made, MIGRATIONS);
await openSessions(made, { count: SESSIONS, users: SESSIONS });
await made.destroy();

const db = new DatabaseSync(file);
db.exec('pragma synchronous = full');
const refreshIds = db.prepare('select refresh_id from sessions').all();
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwt = new JwtService();

/** How many of them a second this core can do, one after the other. */
function rate({ seconds }) {
  const update = db.prepare(`
    update sessions set counter = counter + 1, rotated_at = ?1, idle_expires_at = ?2, access_expires_at = ?2
    where refresh_id = ?3`);
  const from = performance.now();
  let count = 0;
  while (performance.now() - from < seconds * 1000) {
    const now = Date.now();
    update.run(now, now + MINUTES_30, refreshIds[count % SESSIONS].refresh_id);
    jwt.sign({ sub: 'bench', count }, { privateKey, algorithm: 'ES256', expiresIn: 1800 });
    count++;
  }
  return count / ((performance.now() - from) / 1000);
}

serve({ rate });
