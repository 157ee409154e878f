// A login by hand: `node:http`, argon2id, one signature, and the statements of the server's login in
// as many transactions, on its schema. No framework, no validation, no log, no headers: what is left
// when all of that is free.
import { createHmac, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { JwtService } from '@nestjs/jwt';
import { hash, verify } from '@node-rs/argon2';
import { DatabaseSync } from '@photostructure/sqlite';
import { Database } from '../dist/database/database.js';
import { migrate, MIGRATIONS } from '../dist/database/migrate.js';
import { SqliteDialect } from '../dist/database/sqlite.js';
import { serve } from './child.mjs';

const { FILE: file } = process.env;
const MINUTES_30 = 1_800_000;

const made = new Database({ dialect: new SqliteDialect({ file, directory: dirname(file) }) });
await migrate(made, MIGRATIONS);
await made.destroy();

const db = new DatabaseSync(file);
db.exec('pragma synchronous = full');
const begin = db.prepare('begin immediate');
const commit = db.prepare('commit');
const findByName = db.prepare('select * from users where canonical_username = ?');
const findById = db.prepare('select * from users where id = ?');
const count = db.prepare(`
  insert into attempts (key, count, ends_at) values (?1, 1, ?4), (?2, 1, ?4), (?3, 1, ?4)
  on conflict do update set count = count + 1 returning key, count`);
const giveBack = db.prepare(`
  insert into attempts (key, count, ends_at) values (?1, 0, ?4), (?2, 0, ?4), (?3, 0, ?4)
  on conflict do update set count = 0`);
const remember = db.prepare(`
  insert into known_addresses (account, address, seen_at) values (?1, ?2, ?3)
  on conflict do update set seen_at = ?3 where seen_at < ?3 - 86400000`);
const open = db.prepare(`
  insert into sessions (id, user_id, scopes, auth_time, refresh_id, counter, rotated_at,
    idle_expires_at, expires_at, access_expires_at, address, user_agent)
  values (?1, ?2, 'profile', ?4, ?3, 0, ?4, ?5, ?5, ?5, '127.0.0.1', 'bench')`);
const countSessions = db.prepare('select count(*) from sessions where user_id = ?');
const audit = db.prepare(`
  insert into audit (at, event, user_id, actor, address, session_id)
  values (?1, 'authn_login_success', ?2, ?2, '127.0.0.1', ?3)`);

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwt = new JwtService();
const hmac = (value) => createHmac('sha256', 'bench').update(value).digest('base64url');

/** One hash at a time, as the server does on one core. */
let turn = Promise.resolve();
const inTurn = (work) => (turn = turn.then(work));

async function login(form) {
  const username = form.get('username');
  const now = Date.now();
  const [account, address] = [hmac(username), hmac('127.0.0.1')];
  const keys = [`account:${account}`, `address:${address}`, `pair:${account}:${address}`];
  db.exec('pragma synchronous = normal');
  begin.run();
  count.all(...keys, now + MINUTES_30);
  commit.run();
  db.exec('pragma synchronous = full');
  const { id, password_hash: stored } = findByName.get(username);
  if (!(await inTurn(() => verify(stored, form.get('password'))))) throw new Error('It is wrong');
  const [sid, refreshId] = [randomUUID(), randomBytes(16).toString('base64url')];
  begin.run();
  const user = findById.get(id);
  giveBack.run(...keys, now);
  remember.run(account, address, now);
  open.run(sid, id, refreshId, now, now + MINUTES_30);
  countSessions.get(id);
  audit.run(now, id, sid);
  commit.run();
  const claims = { sub: id, sid, jti: randomUUID(), username: user.username, scope: 'profile' };
  return jwt.sign(claims, { privateKey, algorithm: 'ES256', expiresIn: 1800 });
}

const server = createServer(async (request, response) => {
  const access_token = await login(new URLSearchParams(await text(request)));
  const body = JSON.stringify({ access_token, token_type: 'bearer', expires_in: 1800 });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
});
server.listen(0, '127.0.0.1', () => {
  serve({ createUsers }, { url: `http://127.0.0.1:${server.address().port}` });
});

async function createUsers({ users }) {
  const insert = db.prepare(`
    insert into users (id, username, canonical_username, password_hash, password_version, gen, roles, created_at)
    values (?1, ?2, ?2, ?3, 1, 1, 'user', 0)`);
  const hashed = await hash(users[0][1], { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  for (const [username] of users) insert.run(randomUUID(), username, hashed);
}
