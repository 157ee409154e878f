// The least that a refresh costs: signing one token, and one committed update on the same database.
import { generateKeyPairSync } from 'node:crypto';
import { DatabaseSync } from '@photostructure/sqlite';
import { JwtService } from '@nestjs/jwt';
import { serve } from './child.mjs';

const db = new DatabaseSync(process.env.FILE);
db.exec(`
  pragma journal_mode = wal;
  pragma synchronous = full;
  create table sessions (id text primary key, counter integer not null);
  insert into sessions values ('one', 0);
`);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwt = new JwtService();

/** How many of them a second this core can do, one after the other. */
function rate({ seconds }) {
  const update = db.prepare('update sessions set counter = counter + 1 where id = ?');
  const from = performance.now();
  let count = 0;
  while (performance.now() - from < seconds * 1000) {
    update.run('one');
    jwt.sign({ sub: 'bench', count }, { privateKey, algorithm: 'ES256', expiresIn: 1800 });
    count++;
  }
  return count / ((performance.now() - from) / 1000);
}

serve({ rate });
