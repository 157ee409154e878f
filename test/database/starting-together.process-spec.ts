import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { migrate } from '../../src/database/migrate.js';
import { KeyStore } from '../../src/keys/key-store.js';
import { RootSecret } from '../../src/keys/root-secret.js';
import { RootSecrets } from '../../src/keys/root-secrets.js';
import { call } from '../support/client.js';
import { connect, fileOf } from '../support/connection.js';
import { DATABASES, newDatabase } from '../support/databases.js';
import {
  KEY_ENCRYPTION_SECRET,
  type ServerProcess,
  serverEnvironment,
  startServer,
} from '../support/process.js';

/** More of them (20, say) to look for a race that is rare. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 2);
const PROCESSES = 4;

describe.each(DATABASES)('Four processes on one empty database, on %s', (kind) => {
  it.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
    'migrate it once, share its keys and are all ready, round %i',
    async () => {
      const url = await newDatabase(kind);
      const servers = await Promise.all(
        Array.from({ length: PROCESSES }, () => startServer(serverEnvironment(url))),
      );
      try {
        for (const server of servers) {
          expect((await call(server, '/health/ready')).status).toBe(200);
        }
        expect(await signingKeys(url)).toEqual([
          { alg: 'ES256', standby: false },
          { alg: 'ES256', standby: true },
        ]);
        expect(new Set(await Promise.all(servers.map(publishedKeys)))).toHaveProperty('size', 1);
        if (kind === 'sqlite') expect(secretFiles(url)).toHaveLength(1);
      } finally {
        await Promise.all(servers.map(({ kill }) => kill()));
      }
    },
    60_000,
  );
});

describe.each(DATABASES)('Many that make the first keys at the same moment, on %s', (kind) => {
  it('make one active key and one standby', async () => {
    const url = await newDatabase(kind);
    await migrate(connect(url));
    const secrets = new RootSecrets(new RootSecret(KEY_ENCRYPTION_SECRET));
    let all: Promise<unknown> | undefined;
    await connect(url)
      .transaction()
      .execute(async (trx) => {
        // Nobody can write until all of them are as far as they get.
        if (kind === 'postgres') await sql`lock signing_keys in exclusive mode`.execute(trx);
        all = Promise.all(
          Array.from({ length: 8 }, () =>
            new KeyStore(connect(url), secrets).ensure('ES256', Date.now()),
          ),
        );
        await sleep(800);
      });
    await all;
    expect(await signingKeys(url)).toHaveLength(2);
  });
});

async function signingKeys(url: string): Promise<{ alg: string; standby: boolean }[]> {
  const rows = await connect(url)
    .selectFrom('signing_keys')
    .select(['alg', 'activate_at'])
    .execute();
  return rows
    .map(({ alg, activate_at }) => ({ alg, standby: activate_at === null }))
    .sort((a, b) => Number(a.standby) - Number(b.standby));
}

async function publishedKeys(server: ServerProcess): Promise<string> {
  return (await call(server, '/.well-known/jwks.json')).text;
}

function secretFiles(url: string): string[] {
  return readdirSync(dirname(fileOf(url))).filter((name) => name.includes('key-encryption-secret'));
}
