import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { parseEnv } from 'node:util';
import { type Config, ConfigError, loadConfig, SETTING_NAMES } from './config.js';
import { thisMachine } from './machine.js';

const SECRET = 'pN3vYd0qTq8xVb6LwZ2mRk9sHf4gJc7e';
const OTHER = 'hT6bKq2wXe9rUy5oPa1sDf3gJk8lZx4c';
const WEAK = 'canary-secret-canary-secret-canary-secret';

function faults(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ text }) => text);
    throw error;
  }
}

it('starts with nothing set', () => {
  const config: Config = loadConfig({});
  expect(config).toMatchObject({
    port: 3000,
    host: '127.0.0.1',
    issuer: 'http://localhost:3000',
    signingAlgorithm: 'ES256',
    accessTokenTtl: 1800,
    registrationOpen: true,
    passwordGrant: true,
    argon2: { memoryCost: 19_456, timeCost: 2, parallelism: 1 },
    corsOrigins: [],
  });
  expect(Object.isFrozen(config)).toBe(true);
});

it('takes the issuer from the port, and an empty variable for an unset one', () => {
  expect(loadConfig({ PORT: '8080', ISSUER: '', JWT_SECRET: '' })).toMatchObject({
    issuer: 'http://localhost:8080',
    jwtSecret: undefined,
  });
});

it('listens on one address, where `localhost` has two', () => {
  expect(loadConfig({ HOST: 'localhost' }).host).toBe('127.0.0.1');
  expect(loadConfig({ HOST: '::1' }).host).toBe('::1');
});

it.each<[string, Record<string, string>]>([
  ['PORT', { PORT: 'abc' }],
  ['PORT', { PORT: '-1' }],
  ['PORT', { PORT: '65536' }],
  ['HOST', { HOST: 'a b' }],
  ['DATABASE_URL', { DATABASE_URL: 'mysql://x/y' }],
  ['DATABASE_URL', { DATABASE_URL: 'sqlite:' }],
  ['ISSUER', { DATABASE_URL: 'postgres://h/d', KEY_ENCRYPTION_SECRET: SECRET }],
  ['KEY_ENCRYPTION_SECRET', { DATABASE_URL: 'postgres://h/d', ISSUER: 'https://a.example' }],
  ['ISSUER', { ISSUER: 'auth.example.com' }],
  ['ISSUER', { ISSUER: 'https://auth.example.com/' }],
  ['ISSUER', { ISSUER: 'https://auth.example.com/realm' }],
  ['ISSUER', { ISSUER: 'https://auth.example.com?x' }],
  ['ISSUER', { ISSUER: 'https://auth.example.com#x' }],
  ['ISSUER', { ISSUER: 'https://Auth.example.com' }],
  ['ISSUER', { ISSUER: 'https://auth.example.com:443' }],
  ['ISSUER', { ISSUER: 'https://user@auth.example.com' }],
  ['ISSUER', { ISSUER: 'http://auth.example.com' }],
  ['ISSUER', { ISSUER: 'http://localhost.example.com' }],
  ['ISSUER', { ISSUER: 'ftp://localhost' }],
  ['JWT_SECRET', { JWT_SECRET: 'short' }],
  ['JWT_SECRET', { JWT_SECRET: WEAK }],
  ['JWT_SECRET_PREVIOUS', { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: WEAK }],
  ['JWT_SECRET_PREVIOUS', { JWT_SECRET_PREVIOUS: WEAK }],
  ['KEY_ENCRYPTION_SECRET', { KEY_ENCRYPTION_SECRET: WEAK }],
  [
    'KEY_ENCRYPTION_SECRET_PREVIOUS',
    { KEY_ENCRYPTION_SECRET: SECRET, KEY_ENCRYPTION_SECRET_PREVIOUS: WEAK },
  ],
  ['JWT_SECRET_PREVIOUS', { JWT_SECRET_PREVIOUS: SECRET }],
  ['SIGNING_ALGORITHM', { SIGNING_ALGORITHM: 'none' }],
  ['SIGNING_ALGORITHM', { SIGNING_ALGORITHM: 'HS256' }],
  ['SIGNING_ALGORITHM', { SIGNING_ALGORITHM: 'ES256', JWT_SECRET: SECRET }],
  ['JWT_SECRET_PREVIOUS', { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: SECRET }],
  ['KEY_ENCRYPTION_SECRET', { JWT_SECRET: SECRET, KEY_ENCRYPTION_SECRET: SECRET }],
  ['KEY_ENCRYPTION_SECRET_PREVIOUS', { KEY_ENCRYPTION_SECRET_PREVIOUS: SECRET }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '0' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '-1' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '0m' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: 'abc' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '1e9d' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '30' }],
  ['ACCESS_TOKEN_TTL', { ACCESS_TOKEN_TTL: '25h' }],
  ['SESSION_TTL', { ACCESS_TOKEN_TTL: '1h', SESSION_TTL: '1h' }],
  ['SESSION_TTL', { SESSION_IDLE_TTL: '91d' }],
  ['SESSION_TTL', { SESSION_TTL: '3651d' }],
  ['SESSION_IDLE_TTL', { ACCESS_TOKEN_TTL: '1h', SESSION_IDLE_TTL: '1h' }],
  ['REFRESH_TOKEN_REUSE_INTERVAL', { REFRESH_TOKEN_REUSE_INTERVAL: '61s' }],
  ['MAX_SESSIONS', { MAX_SESSIONS: '0' }],
  ['MAX_SESSIONS', { MAX_SESSIONS: '1001' }],
  ['MAX_SESSIONS', { MAX_SESSIONS: '1.5' }],
  ['AUDIENCES', { AUDIENCES: 'orders' }],
  ['AUDIENCES', { AUDIENCES: 'https://orders.example.com#x' }],
  ['AUDIENCES', { AUDIENCES: 'https://orders.example.com/a b' }],
  ['AUDIENCES', { AUDIENCES: `https://orders.example.com/${'a'.repeat(256)}` }],
  ['AUDIENCES', { AUDIENCES: 'https://orders.example.com, /invoices' }],
  ['REVOCATION_MAX_STALENESS', { REVOCATION_MAX_STALENESS: '4s' }],
  ['AUDIT_RETENTION', { AUDIT_RETENTION: '1y' }],
  ['AUDIT_RETENTION', { AUDIT_RETENTION: '23h' }],
  ['REGISTRATION', { REGISTRATION: 'yes' }],
  ['PASSWORD_GRANT', { PASSWORD_GRANT: 'false' }],
  ['PASSWORD_MIN_LENGTH', { PASSWORD_MIN_LENGTH: '7' }],
  ['ARGON2_MEMORY_KIB', { ARGON2_MEMORY_KIB: '19455' }],
  ['ARGON2_MEMORY_KIB', { ARGON2_TIME: '1' }],
  ['ARGON2_PARALLELISM', { ARGON2_PARALLELISM: '0' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: '*' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example, null' }],
  ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example/' }],
  ['TRUST_PROXY', { TRUST_PROXY: 'true' }],
  ['TRUST_PROXY', { TRUST_PROXY: '0' }],
  ['TRUST_PROXY', { TRUST_PROXY: '10' }],
  ['TRUST_PROXY', { TRUST_PROXY: '*' }],
  ['TRUST_PROXY', { TRUST_PROXY: '0.0.0.0/0' }],
  ['TRUST_PROXY', { TRUST_PROXY: 'loopback,nonsense' }],
  ['METRICS', { METRICS: 'on' }],
  ['DOCS', { DOCS: 'maybe' }],
  ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
])('refuses %s in %j, by its name and once', (name, environment) => {
  const found = faults(environment);
  expect(found.map((fault) => fault.split(' ')[0])).toEqual([name]);
});

it.each<Record<string, string>>([
  { ISSUER: 'http://localhost:8080' },
  { ISSUER: 'http://127.0.0.1' },
  { ISSUER: 'http://[::1]:3000' },
  { ISSUER: 'https://auth.example.com:8443' },
  { ARGON2_MEMORY_KIB: '47104', ARGON2_TIME: '1' },
  { ARGON2_MEMORY_KIB: '7168', ARGON2_TIME: '5' },
  { NODE_ENV: 'test', ARGON2_MEMORY_KIB: '64', ARGON2_TIME: '1' },
  { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: OTHER },
  { DATABASE_URL: 'postgres://h/d', ISSUER: 'https://a.example', KEY_ENCRYPTION_SECRET: SECRET },
  { AUDIT_RETENTION: '400d' },
  { ACCESS_TOKEN_TTL: '24h', SESSION_IDLE_TTL: '3650d', SESSION_TTL: '3650d' },
  { REFRESH_TOKEN_REUSE_INTERVAL: '60s', MAX_SESSIONS: '1' },
  { MAX_SESSIONS: '1000', AUDIENCES: 'https://orders.example.com, urn:example:invoices' },
  { TRUST_PROXY: '1' },
  { TRUST_PROXY: '10.0.0.0/8, 2001:db8::1' },
  { CORS_ORIGINS: 'https://a.example,http://localhost:5173' },
])('takes %j', (environment) => {
  expect(faults(environment)).toEqual([]);
});

it('refuses argon2 with more memory, for all hashes at once, than there is', () => {
  const needs = (memory: number) => () =>
    loadConfig({ ARGON2_MEMORY_KIB: '65536' }, { memory, concurrentHashes: 4 });
  expect(needs(256 * 1024 * 1024)).not.toThrow();
  expect(needs(256 * 1024 * 1024 - 1)).toThrow(/^ {2}- ARGON2_MEMORY_KIB times 4 /m);
});

it('takes no more of this machine than there is, and leaves a thread to others', () => {
  const { memory, concurrentHashes } = thisMachine();
  expect(memory).toBeLessThanOrEqual(totalmem());
  expect(concurrentHashes).toBeGreaterThan(0);
  expect(concurrentHashes).toBeLessThan(Number(process.env['UV_THREADPOOL_SIZE'] ?? 4));
});

it('names all faults at once, and none by its value', () => {
  const found = faults({
    PORT: 'canary',
    ISSUER: 'https://canary.example/path',
    JWT_SECRET: 'canary',
    ACCESS_TOKEN_TTL: 'canary',
    LOG_LEVEL: 'canary',
  });
  expect(found.map((fault) => fault.split(' ')[0]).sort()).toEqual([
    'ACCESS_TOKEN_TTL',
    'ISSUER',
    'JWT_SECRET',
    'LOG_LEVEL',
    'PORT',
  ]);
  expect(found.join()).not.toContain('canary');
});

it('says of a weak secret how to make a better one, and not what it is', () => {
  const [fault] = faults({ JWT_SECRET: WEAK });
  expect(fault).toMatch(
    /^JWT_SECRET must be random, .*pattern or a phrase.*openssl rand -base64 32/,
  );
  expect(fault).not.toContain('canary');
});

describe('.env.example', () => {
  const text = readFileSync('.env.example', 'utf8');

  it('shows every setting, and no other', () => {
    const names = [...text.matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name);
    expect(names.sort()).toEqual([...SETTING_NAMES].sort());
  });

  it('shows the defaults, so that copying it changes nothing', () => {
    const uncommented = text.replace(/^#(?=[A-Z][A-Z0-9_]*=)/gm, '');
    const shown = Object.fromEntries(
      Object.entries(parseEnv(uncommented)).filter(([, value]) => value !== ''),
    ) as Record<string, string>;
    expect(loadConfig(shown)).toEqual(loadConfig({}));
    expect(loadConfig(parseEnv(text) as Record<string, string>)).toEqual(loadConfig({}));
  });
});
