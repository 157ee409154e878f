import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { seconds } from './duration.js';
import { type Machine, thisMachine } from './machine.js';
import { invalid, nameOf, refusals, type SettingFault } from './refusals.js';
import { Settings } from './settings.js';

export type DatabaseLocation =
  | { kind: 'sqlite'; file: string; directory: string; secretFile: string }
  | { kind: 'postgres'; url: string };

/** The settings in the form the program uses, read once at start and frozen. */
export class Config {
  readonly port: number;
  readonly host: string;
  readonly database: DatabaseLocation;
  /** The exact `iss` of every token; an origin, without a trailing slash. */
  readonly issuer: string;
  /** The services, beside this one, for which a token can be asked (RFC 8707). */
  readonly audiences: readonly string[];
  readonly jwtSecret: string | undefined;
  readonly jwtSecretPrevious: string | undefined;
  readonly signingAlgorithm: 'ES256' | 'RS256';
  readonly keyEncryptionSecret: string | undefined;
  readonly keyEncryptionSecretPrevious: string | undefined;
  /** Seconds. */
  readonly accessTokenTtl: number;
  /** Seconds. */
  readonly sessionIdleTtl: number;
  /** Seconds. */
  readonly sessionTtl: number;
  /** Milliseconds. */
  readonly refreshTokenReuseInterval: number;
  readonly maxSessions: number;
  /** Milliseconds. */
  readonly revocationMaxStaleness: number;
  /** Milliseconds; undefined keeps the audit for ever. */
  readonly auditRetention: number | undefined;
  readonly registrationOpen: boolean;
  readonly passwordGrant: boolean;
  readonly passwordMinLength: number;
  readonly argon2: Argon2Parameters;
  /** How many passwords are hashed at the same moment. */
  readonly concurrentHashes: number;
  readonly corsOrigins: readonly string[];
  /** A number of hops, or addresses and networks; false: what a client says of itself is ignored. */
  readonly trustProxy: number | string[] | false;
  readonly metrics: boolean;
  readonly docs: boolean;
  readonly logLevel: Settings['LOG_LEVEL'];

  constructor(settings: Settings, machine: Machine) {
    this.port = settings.PORT;
    // Fastify listens on both addresses of `localhost`, the second time without what is set on its server.
    this.host = settings.HOST === 'localhost' ? '127.0.0.1' : settings.HOST;
    this.database = databaseLocation(settings.DATABASE_URL);
    this.issuer = settings.ISSUER ?? `http://localhost:${settings.PORT}`;
    this.audiences = Object.freeze(splitList(settings.AUDIENCES));
    this.jwtSecret = settings.JWT_SECRET;
    this.jwtSecretPrevious = settings.JWT_SECRET_PREVIOUS;
    this.signingAlgorithm = settings.SIGNING_ALGORITHM ?? 'ES256';
    this.keyEncryptionSecret = settings.KEY_ENCRYPTION_SECRET;
    this.keyEncryptionSecretPrevious = settings.KEY_ENCRYPTION_SECRET_PREVIOUS;
    this.accessTokenTtl = seconds(settings.ACCESS_TOKEN_TTL);
    this.sessionIdleTtl = seconds(settings.SESSION_IDLE_TTL);
    this.sessionTtl = seconds(settings.SESSION_TTL);
    this.refreshTokenReuseInterval = seconds(settings.REFRESH_TOKEN_REUSE_INTERVAL) * 1000;
    this.maxSessions = settings.MAX_SESSIONS;
    this.revocationMaxStaleness = seconds(settings.REVOCATION_MAX_STALENESS) * 1000;
    this.auditRetention =
      settings.AUDIT_RETENTION === undefined ? undefined : seconds(settings.AUDIT_RETENTION) * 1000;
    this.registrationOpen = settings.REGISTRATION === 'open';
    this.passwordGrant = settings.PASSWORD_GRANT === 'on';
    this.passwordMinLength = settings.PASSWORD_MIN_LENGTH;
    this.argon2 = Object.freeze({
      memoryCost: settings.ARGON2_MEMORY_KIB,
      timeCost: settings.ARGON2_TIME,
      parallelism: settings.ARGON2_PARALLELISM,
    });
    this.concurrentHashes = machine.concurrentHashes;
    this.corsOrigins = Object.freeze(splitList(settings.CORS_ORIGINS));
    this.trustProxy = trustProxy(settings.TRUST_PROXY);
    this.metrics = settings.METRICS === 'open';
    this.docs = settings.DOCS === 'on';
    this.logLevel = settings.LOG_LEVEL;
    Object.freeze(this);
  }
}

export interface Argon2Parameters {
  /** KiB. */
  memoryCost: number;
  /** Passes. */
  timeCost: number;
  parallelism: number;
}

/** Every fault in the settings, each by the name of its variable and never by its value. */
export class ConfigError extends Error {
  constructor(readonly faults: readonly SettingFault[]) {
    super(`The settings are not valid:\n${faults.map(({ text }) => `  - ${text}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

type Environment = Record<string, string | undefined>;

/**
 * Validates the environment as a whole.
 * @throws ConfigError with all faults at once
 */
export function loadConfig(environment: Environment, machine = thisMachine()): Config {
  const settings = plainToInstance(Settings, known(environment), { exposeDefaultValues: true });
  const malformed = validateSync(settings).map(({ property, constraints }) =>
    invalid(`${property} ${Object.values(constraints ?? {})[0]}`),
  );
  const named = new Set(malformed.map(nameOf));
  const faults = [
    ...malformed,
    ...refusals(settings, {
      // A test hashes with parameters that would be negligent anywhere else.
      test: environment['NODE_ENV'] === 'test',
      ...machine,
    }).filter((fault) => !named.has(nameOf(fault))),
  ];
  if (faults.length > 0) throw new ConfigError(faults);
  return new Config(settings, machine);
}

/** The process environment over the `.env` file of the working directory, if there is one. */
export function readEnvironment(): Environment {
  const file = resolve('.env');
  const inDevelopment = process.env['NODE_ENV'] !== 'production';
  const fromFile = inDevelopment && existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
  return { ...fromFile, ...process.env };
}

/** Only our own variables; an empty one counts as unset, as compose files write it. */
function known(environment: Environment): Partial<Record<keyof Settings, string>> {
  return Object.fromEntries(
    Object.keys(new Settings())
      .concat(OPTIONAL)
      .map((name) => [name, environment[name]])
      .filter(([, value]) => value !== undefined && value !== ''),
  ) as Partial<Record<keyof Settings, string>>;
}

/** The settings without a default: they are no own properties of a fresh `Settings`. */
const OPTIONAL = [
  'ISSUER',
  'AUDIENCES',
  'JWT_SECRET',
  'JWT_SECRET_PREVIOUS',
  'SIGNING_ALGORITHM',
  'KEY_ENCRYPTION_SECRET',
  'KEY_ENCRYPTION_SECRET_PREVIOUS',
  'AUDIT_RETENTION',
  'CORS_ORIGINS',
  'TRUST_PROXY',
] as const satisfies (keyof Settings)[];

/** All variables that are read, by name. */
export const SETTING_NAMES: readonly string[] = [...Object.keys(new Settings()), ...OPTIONAL];

/** @param url `sqlite:PATH`, or anything else for a PostgreSQL */
export function databaseLocation(url: string): DatabaseLocation {
  if (!url.startsWith('sqlite:')) return { kind: 'postgres', url };
  const file = resolve(url.slice('sqlite:'.length));
  return {
    kind: 'sqlite',
    file,
    directory: dirname(file),
    secretFile: `${file}.key-encryption-secret`,
  };
}

function trustProxy(setting: string | undefined): number | string[] | false {
  if (setting === undefined) return false;
  return /^\d+$/.test(setting) ? Number(setting) : splitList(setting);
}

function splitList(list: string | undefined): string[] {
  return (list ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
