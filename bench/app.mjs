// The application as server.js starts it, with one public route more: the protected one unguarded.
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Controller, Get, Headers, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../dist/app.module.js';
import { configureApp, createAdapter } from '../dist/app.setup.js';
import { SealKeys } from '../dist/audit-seals/seal-keys.js';
import { Public } from '../dist/auth/public.js';
import { loadConfig, readEnvironment } from '../dist/config/config.js';
import { createLog, NestLog } from '../dist/http/log.js';
import { Database } from '../dist/database/database.js';
import { Revocations } from '../dist/revocation/revocations.js';
import { Account } from '../dist/users/account.js';
import { Users } from '../dist/users/users.js';
import { AccessTokens } from '../dist/tokens/access-tokens.js';
import { serve } from './child.mjs';
import { createUsers, openSessions, writeAudit } from './planting.mjs';

/** Rows that are written at once. */
const BATCH = 1000;

class OpenData {
  read(languages = '') {
    return {
      message: /^\s*ko\b/i.test(languages)
        ? '누구나 볼 수 있는 데이터입니다!'
        : 'Everybody can see this data!',
    };
  }
}
Get()(OpenData.prototype, 'read', Object.getOwnPropertyDescriptor(OpenData.prototype, 'read'));
Headers('accept-language')(OpenData.prototype, 'read', 0);
Public()(OpenData);
Controller('open-data')(OpenData);

const config = loadConfig(readEnvironment());
class BenchModule {}
Module({ imports: [AppModule.for(config)], controllers: [OpenData] })(BenchModule);

const log = createLog(config.logLevel);
const app = await NestFactory.create(BenchModule, createAdapter(config), {
  bodyParser: false,
  logger: new NestLog(log.logger),
  abortOnError: false,
});
await configureApp(app, log.logger);
await app.listen(0, '127.0.0.1');

/** Writes tokens of as many users into a file, signed as a login's are. */
function issueTokens({ count, file }) {
  const tokens = app.get(AccessTokens, { strict: false });
  const issue = (_, index) => {
    const lifetime = tokens.lifetime();
    return tokens.issue({
      user: { id: randomUUID(), username: `bench-${index}`, gen: 1 },
      session: { id: randomUUID(), authTime: lifetime.issuedAt },
      scopes: ['profile'],
      audience: config.issuer,
      ...lifetime,
    });
  };
  writeFileSync(file, JSON.stringify(Array.from({ length: count }, issue)));
}

/** Has this process remember as many revoked sessions, none of which anybody has a token of. */
async function revokeSessions({ count }) {
  const revocations = app.get(Revocations, { strict: false });
  const expiresAt = Date.now() + 3_600_000;
  for (let written = 0; written < count; written += BATCH) {
    const rows = Array.from({ length: BATCH }, () => {
      return { kind: 'sid', subject: randomUUID(), expiresAt };
    });
    await revocations.transaction((_, revoke) => revoke(rows));
  }
}

async function makeAdministrator({ username }) {
  const { id } = await app.get(Users, { strict: false }).findByUsername(username);
  await app.get(Account, { strict: false }).setRoles(id, ['admin'], { id: 'cli' });
}

const db = app.get(Database, { strict: false });
const key = app.get(SealKeys, { strict: false }).current;
const answers = {
  issueTokens,
  revokeSessions,
  makeAdministrator,
  createUsers: (what) => createUsers(db, what),
  openSessions: (what) => openSessions(db, what),
  writeAudit: (what) => writeAudit(db, { ...what, key }),
};
serve(answers, { url: `http://127.0.0.1:${app.getHttpServer().address().port}` });
