import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyStore } from '../../src/keys/key-store.js';
import { RootSecret } from '../../src/keys/root-secret.js';
import { RootSecrets } from '../../src/keys/root-secrets.js';
import { bearer, call, form, newLogin } from '../support/client.js';
import { connect, fileOf } from '../support/connection.js';
import { newDatabase } from '../support/databases.js';
import { type ServerProcess, spawnServer, startServer } from '../support/process.js';

/** More of them (200, say) to look for a moment that is rare. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 4);
const JWT_SECRET = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';

const secretIn = (url: string): string =>
  readFileSync(`${fileOf(url)}.key-encryption-secret`, 'utf8');

describe('A first start', () => {
  it(
    'that was killed at any moment is made good by the next: one key signs, one stands by',
    async () => {
      const startedAt = performance.now();
      await (await startServer({ DATABASE_URL: await newDatabase('sqlite') })).kill();
      const usual = Math.ceil(performance.now() - startedAt);
      for (let round = 0; round < ROUNDS; round++) {
        const url = await newDatabase('sqlite');
        const first = spawnServer({ DATABASE_URL: url });
        // The program is loaded in the first half: nothing is written in it.
        await sleep(randomInt(usual >> 1, usual));
        await first.kill();
        const server = await startServer({ DATABASE_URL: url });
        expect((await call(server, '/health/ready')).status).toBe(200);
        expect(secretIn(url)).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
        const { keys } = await storedKeys(url);
        const [standby, ...active] = keys.sort((a, b) => (a.activateAt ?? 0) - (b.activateAt ?? 0));
        expect([standby?.activateAt, active.length]).toEqual([null, 1]);
        const { token } = await newLogin(server);
        expect((await call(server, '/secure-data', bearer(token))).status).toBe(200);
        await server.kill();
      }
    },
    60_000 + ROUNDS * 15_000,
  );
});

describe('No secret is told', () => {
  const settings = { METRICS: 'open', LOG_LEVEL: 'debug' };

  it('of the keys that it made itself', async () => {
    const url = await newDatabase('sqlite');
    const server = await startServer({ DATABASE_URL: url, ...settings });
    const { keys } = await storedKeys(url);
    const secrets = keys.map(({ key }) => key.sign.export({ format: 'jwk' }).d!);
    expect(secrets.map((secret) => secret.length)).toEqual([43, 43]);
    await expectUntold(server, [secretIn(url).trim(), ...secrets]);
  });

  it('of JWT_SECRET', async () => {
    const url = await newDatabase('sqlite');
    await expectUntold(await startServer({ DATABASE_URL: url, JWT_SECRET, ...settings }), [
      JWT_SECRET,
      Buffer.from(JWT_SECRET).toString('base64url'),
    ]);
  });
});

const storedKeys = (url: string) =>
  new KeyStore(connect(url), new RootSecrets(new RootSecret(secretIn(url).trim()))).load();

/** Asks for whatever tells something of the server, and for errors, and stops it. */
async function expectUntold(server: ServerProcess, secrets: string[]): Promise<void> {
  const { token } = await newLogin(server);
  const answers = await Promise.all([
    call(server, '/secure-data', bearer(token)),
    call(server, '/secure-data', bearer(`${token}x`)),
    call(server, '/introspect', bearer(token, form({ token }))),
    call(server, '/token', form({ grant_type: 'refresh_token', refresh_token: 'none' })),
    call(server, '/metrics'),
    call(server, '/.well-known/jwks.json'),
    call(server, '/.well-known/oauth-authorization-server'),
    call(server, '/revocations'),
    call(server, '/nothing'),
  ]);
  await server.kill('SIGTERM');
  const told = [
    server.stdout(),
    server.stderr(),
    ...answers.map(({ headers, text }) => JSON.stringify([...headers]) + text),
  ];
  expect(told.join('')).toContain('latchkey_');
  for (const secret of secrets) expect(told.filter((text) => text.includes(secret))).toEqual([]);
}
