import { isIP } from 'node:net';
import { DURATION, seconds } from './duration.js';
import type { Machine } from './machine.js';
import { secretFault } from './secret-strength.js';
import type { Settings } from './settings.js';

/** Why the server does not start with a setting. */
export interface SettingFault {
  /** Stable, for programs. */
  code: 'setting_invalid' | 'secret_weak' | 'secrets_equal';
  /** Names its variable first, and never shows its value. */
  text: string;
}

export const invalid = (text: string): SettingFault => ({ code: 'setting_invalid', text });

/** The variable that a fault is of. */
export const nameOf = ({ text }: SettingFault): string => text.split(' ')[0]!;

/** The settings that are well-formed one by one and must not run together, or at all. */
export function refusals(settings: Settings, machine: Machine & { test: boolean }): SettingFault[] {
  return [
    ...[...refuseIssuer(settings), ...refuseAudiences(settings), ...refuseDatabase(settings)].map(
      invalid,
    ),
    ...refuseSecrets(settings),
    ...[
      ...refuseTimes(settings),
      ...refuseRetention(settings),
      ...refuseHashing(settings, machine),
      ...refuseOrigins(settings),
      ...refuseProxies(settings),
    ].map(invalid),
  ];
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

function* refuseIssuer({ ISSUER }: Settings): Generator<string> {
  if (ISSUER === undefined) return;
  const url = URL.canParse(ISSUER) ? new URL(ISSUER) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    yield 'ISSUER must be an http or https URL';
  } else if (url.origin !== ISSUER) {
    // RFC 8414 section 2; compared as a string, so that there must be one way to write it
    yield 'ISSUER must be an origin alone, such as https://auth.example.com: lower case, no path, query, fragment, trailing slash or default port';
  } else if (url.protocol === 'http:' && !LOOPBACK.has(url.hostname)) {
    yield 'ISSUER must be https except on localhost';
  }
}

/** RFC 8707 section 2: an absolute URI without a fragment. */
function* refuseAudiences({ AUDIENCES }: Settings): Generator<string> {
  const audiences = (AUDIENCES ?? '').split(',').map((audience) => audience.trim());
  const valid = audiences.every(
    (audience) => audience === '' || (/^[!-~]{1,256}$/.test(audience) && isAbsolute(audience)),
  );
  if (!valid) {
    yield 'AUDIENCES must be absolute URIs without a fragment, such as https://api.example.com, separated by commas';
  }
}

const isAbsolute = (uri: string): boolean => URL.canParse(uri) && !uri.includes('#');

function* refuseDatabase({ DATABASE_URL, ISSUER, KEY_ENCRYPTION_SECRET }: Settings) {
  if (!/^postgres/.test(DATABASE_URL)) return;
  if (ISSUER === undefined) yield 'ISSUER is required with a PostgreSQL DATABASE_URL';
  if (KEY_ENCRYPTION_SECRET === undefined) {
    yield 'KEY_ENCRYPTION_SECRET is required with a PostgreSQL DATABASE_URL: every instance needs the same one';
  }
}

/** Each with the one that it cannot do without. */
const SECRETS = [
  { name: 'JWT_SECRET', needs: undefined },
  { name: 'JWT_SECRET_PREVIOUS', needs: 'JWT_SECRET' },
  { name: 'KEY_ENCRYPTION_SECRET', needs: undefined },
  { name: 'KEY_ENCRYPTION_SECRET_PREVIOUS', needs: 'KEY_ENCRYPTION_SECRET' },
] as const;

function* refuseSecrets(settings: Settings): Generator<SettingFault> {
  if (settings.JWT_SECRET !== undefined && settings.SIGNING_ALGORITHM !== undefined) {
    yield invalid('SIGNING_ALGORITHM must not be set together with JWT_SECRET, which means HS256');
  }
  const seen = new Map<string, string>();
  for (const { name, needs } of SECRETS) {
    const value = settings[name];
    if (value === undefined) continue;
    const fault = secretFault(value);
    const other = seen.get(value);
    if (fault !== undefined) {
      yield { code: 'secret_weak', text: `${name} ${fault}` };
    } else if (other !== undefined) {
      yield { code: 'secrets_equal', text: `${name} must not be equal to ${other}` };
    } else if (needs !== undefined && settings[needs] === undefined) {
      yield invalid(`${name} needs ${needs}`);
    }
    seen.set(value, name);
  }
}

const DAY = 86_400;

function* refuseTimes(settings: Settings): Generator<string> {
  const durations = [
    settings.ACCESS_TOKEN_TTL,
    settings.SESSION_IDLE_TTL,
    settings.SESSION_TTL,
    settings.REFRESH_TOKEN_REUSE_INTERVAL,
    settings.REVOCATION_MAX_STALENESS,
  ];
  if (!durations.every((duration) => DURATION.test(duration))) return; // named already
  const [access, idle, session, reuse, staleness] = durations.map(seconds) as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (access > DAY) yield 'ACCESS_TOKEN_TTL must be at most 24h';
  if (access >= idle) yield 'SESSION_IDLE_TTL must be longer than ACCESS_TOKEN_TTL';
  if (idle > session) yield 'SESSION_TTL must not be shorter than SESSION_IDLE_TTL';
  if (session > 3650 * DAY) yield 'SESSION_TTL must be at most 3650d';
  if (reuse > 60) yield 'REFRESH_TOKEN_REUSE_INTERVAL must be at most 60s';
  if (staleness < 5) yield 'REVOCATION_MAX_STALENESS must be at least 5s';
}

/** Shorter is a slip: what happened yesterday would be gone before anybody looks. */
function* refuseRetention({ AUDIT_RETENTION }: Settings): Generator<string> {
  if (AUDIT_RETENTION === undefined || !DURATION.test(AUDIT_RETENTION)) return;
  if (seconds(AUDIT_RETENTION) < DAY) yield 'AUDIT_RETENTION must be at least 1d';
}

/** Parameters of equal strength: OWASP Password Storage Cheat Sheet, argon2id, [KiB, passes]. */
const OWASP_FLOOR = [
  [47_104, 1],
  [19_456, 2],
  [12_288, 3],
  [9_216, 4],
  [7_168, 5],
] as const;

function* refuseHashing(
  settings: Settings,
  machine: Machine & { test: boolean },
): Generator<string> {
  const { ARGON2_MEMORY_KIB: memory, ARGON2_TIME: time } = settings;
  const strong = OWASP_FLOOR.some(([kib, passes]) => memory >= kib && time >= passes);
  if (!strong && !machine.test) {
    yield 'ARGON2_MEMORY_KIB and ARGON2_TIME must not be below the OWASP floor: 19456 and 2, or of equal strength';
  }
  if (memory * 1024 * machine.concurrentHashes > machine.memory) {
    yield `ARGON2_MEMORY_KIB times ${machine.concurrentHashes} concurrent hashes is more memory than there is`;
  }
}

function* refuseOrigins({ CORS_ORIGINS }: Settings): Generator<string> {
  for (const origin of (CORS_ORIGINS ?? '').split(',').map((item) => item.trim())) {
    if (origin === '') continue;
    if (origin === '*' || origin === 'null') {
      yield 'CORS_ORIGINS must name each origin; * and null are refused';
    } else if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      yield 'CORS_ORIGINS must be origins such as https://app.example.com, separated by commas';
    }
  }
}

/** `true` would believe whatever address a client claims in `X-Forwarded-For`. */
function* refuseProxies({ TRUST_PROXY }: Settings): Generator<string> {
  if (TRUST_PROXY === undefined || /^[1-9]$/.test(TRUST_PROXY)) return;
  const proxies = TRUST_PROXY.split(',').map((proxy) => proxy.trim());
  if (!proxies.every(isNetwork)) {
    yield 'TRUST_PROXY must be the number of proxies in front (1 to 9), or their addresses or networks, separated by commas';
  }
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return (
    bits === undefined ||
    (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128))
  );
}
