import { isIP } from 'node:net';
import { DURATION, seconds } from './duration.js';
import { secretFault } from './secret-strength.js';
import type { Settings } from './settings.js';

interface Machine {
  test: boolean;
  /** Bytes. */
  memory: number;
  concurrentHashes: number;
}

/**
 * The settings that are well-formed one by one and must not run together, or at all.
 * Each line names its variable first.
 */
export function refusals(settings: Settings, machine: Machine): string[] {
  return [
    ...refuseIssuer(settings),
    ...refuseDatabase(settings),
    ...refuseSecrets(settings),
    ...refuseTimes(settings),
    ...refuseHashing(settings, machine),
    ...refuseOrigins(settings),
    ...refuseProxies(settings),
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

function* refuseSecrets(settings: Settings): Generator<string> {
  if (settings.JWT_SECRET !== undefined && settings.SIGNING_ALGORITHM !== undefined) {
    yield 'SIGNING_ALGORITHM must not be set together with JWT_SECRET, which means HS256';
  }
  const seen = new Map<string, string>();
  for (const { name, needs } of SECRETS) {
    const value = settings[name];
    if (value === undefined) continue;
    const fault = secretFault(value);
    const other = seen.get(value);
    if (fault !== undefined) yield `${name} ${fault}`;
    else if (other !== undefined) yield `${name} must not be equal to ${other}`;
    else if (needs !== undefined && settings[needs] === undefined) yield `${name} needs ${needs}`;
    seen.set(value, name);
  }
}

const DAY = 86_400;

function* refuseTimes(settings: Settings): Generator<string> {
  const { ACCESS_TOKEN_TTL, SESSION_TTL, REVOCATION_MAX_STALENESS } = settings;
  if (![ACCESS_TOKEN_TTL, SESSION_TTL, REVOCATION_MAX_STALENESS].every((d) => DURATION.test(d))) {
    return; // named already
  }
  if (seconds(ACCESS_TOKEN_TTL) > DAY) yield 'ACCESS_TOKEN_TTL must be at most 24h';
  if (seconds(ACCESS_TOKEN_TTL) >= seconds(SESSION_TTL)) {
    yield 'SESSION_TTL must be longer than ACCESS_TOKEN_TTL';
  }
  if (seconds(SESSION_TTL) > 3650 * DAY) yield 'SESSION_TTL must be at most 3650d';
  if (seconds(REVOCATION_MAX_STALENESS) < 5) yield 'REVOCATION_MAX_STALENESS must be at least 5s';
}

/** Parameters of equal strength: OWASP Password Storage Cheat Sheet, argon2id, [KiB, passes]. */
const OWASP_FLOOR = [
  [47_104, 1],
  [19_456, 2],
  [12_288, 3],
  [9_216, 4],
  [7_168, 5],
] as const;

function* refuseHashing(settings: Settings, machine: Machine): Generator<string> {
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
