import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type Config, ConfigError, loadConfig } from '../../config/config.js';
import { nameOf, type SettingFault } from '../../config/refusals.js';
import { secretFault } from '../../config/secret-strength.js';
import { fault, type Finding, ok, warning } from './finding.js';

export type Environment = Record<string, string | undefined>;

interface Settled {
  /** Of the settings that are valid, with stand-ins for the others, where they go together. */
  config: Config | undefined;
  /** The names of the others. */
  faulty: ReadonlySet<string>;
  findings: Finding[];
}

/** Has a configuration to go on with, whatever is wrong in the environment. */
export function settle(environment: Environment): Settled {
  const faults = faultsOf(environment);
  const names = faults.map(nameOf);
  const valid = Object.fromEntries(
    Object.entries(environment).filter(([name]) => !names.includes(name)),
  );
  // For what is missing, or goes only with what was taken away.
  const standIns = {
    ISSUER: 'http://localhost',
    KEY_ENCRYPTION_SECRET: randomBytes(32).toString('base64url'),
  };
  const config = [valid, { ...standIns, ...valid }]
    .filter((settings) => faultsOf(settings).length === 0)
    .map((settings) => loadConfig(settings))[0];
  return {
    config,
    faulty: new Set(names),
    findings:
      faults.length === 0
        ? [ok('settings', 'every setting is valid')]
        : faults.map(({ code, text }) =>
            fault(code, text, 'Change it: the server does not start with it.'),
          ),
  };
}

function faultsOf(environment: Environment): readonly SettingFault[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

/** What is allowed, and may not be what was meant. */
export function examineSettings(
  config: Config,
  environment: Environment,
  faulty: ReadonlySet<string>,
): Finding[] {
  return [
    ...secretFile(config),
    ...(faulty.has('TRUST_PROXY') ? [] : proxies(config)),
    ...(faulty.has('ISSUER') ? [] : issuer(config)),
    ...openToAll(config),
    ...mode(config, environment),
    ...staleness(config),
  ];
}

/** The secret beside an SQLite file, which somebody may have written by hand. */
function* secretFile(config: Config): Generator<Finding> {
  if (config.database.kind === 'postgres' || config.keyEncryptionSecret !== undefined) return;
  const file = config.database.secretFile;
  if (!existsSync(file)) return;
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    yield fault('secret_unreadable', `${file} cannot be read (${code})`, 'Let its user read it.');
    return;
  }
  const weakness = secretFault(secret);
  if (weakness !== undefined) {
    yield fault(
      'secret_weak',
      `the secret in ${file} ${weakness}`,
      'Set a new KEY_ENCRYPTION_SECRET with this one as KEY_ENCRYPTION_SECRET_PREVIOUS, ' +
        'then run `keys reencrypt`; or restore the file, if it is damaged.',
    );
  }
  if ([config.jwtSecret, config.jwtSecretPrevious].includes(secret)) {
    yield fault(
      'secrets_equal',
      `JWT_SECRET or JWT_SECRET_PREVIOUS is the secret in ${file}`,
      'Make another JWT_SECRET: openssl rand -base64 32',
    );
  }
}

export const isLoopback = (host: string): boolean =>
  ['localhost', '::1', '[::1]'].includes(host) || /^127\./.test(host);

function* proxies({ trustProxy, host, issuer }: Config): Generator<Finding> {
  if (typeof trustProxy === 'number' && !isLoopback(host)) {
    yield warning(
      'proxy_header_believed',
      `TRUST_PROXY=${trustProxy} believes the X-Forwarded-For of whoever reaches HOST=${host}, ` +
        'and so does not slow their guessing',
      'Name the addresses of the proxies instead of their number, or see that only they reach it.',
    );
  }
  const wide = Array.isArray(trustProxy) ? trustProxy.filter(isWide) : [];
  if (wide.length > 0) {
    yield warning(
      'proxy_header_believed',
      `TRUST_PROXY believes the X-Forwarded-For of everybody in ${wide.join(', ')}`,
      'Name the addresses of the proxies, or the smallest network that has them.',
    );
  }
  if (trustProxy === false && issuer.startsWith('https:')) {
    yield warning(
      'proxy_ignored',
      'the issuer is https, so something in front speaks TLS, and TRUST_PROXY is not set: ' +
        'every client has its address, and they slow each other’s logins',
      'Set TRUST_PROXY to the address of what stands in front.',
    );
  }
}

/** More than any network of one's own. */
function isWide(network: string): boolean {
  const [address = '', bits] = network.split('/');
  return bits !== undefined && Number(bits) < (isIP(address) === 4 ? 8 : 16);
}

function* issuer({ issuer, host }: Config): Generator<Finding> {
  if (issuer.startsWith('https:')) {
    yield ok('cookies', 'the issuer is https: cookies are `__Host-` and `Secure`');
  } else if (!isLoopback(host)) {
    yield warning(
      'issuer_loopback',
      `HOST=${host} can be reached from elsewhere, and the issuer is ${issuer}: tokens name an ` +
        'address that is another machine there, and cookies and passwords go without TLS',
      'Set ISSUER to the https address that clients use, and HOST to where its proxy connects.',
    );
  }
}

function* openToAll({ metrics, host }: Config): Generator<Finding> {
  if (metrics && !isLoopback(host)) {
    yield warning(
      'metrics_public',
      `METRICS=open, and HOST=${host} can be reached from elsewhere`,
      'Keep /metrics off the public network: have the proxy refuse it.',
    );
  }
}

function* mode({ issuer }: Config, environment: Environment): Generator<Finding> {
  const nodeEnv = environment['NODE_ENV'];
  if (nodeEnv === 'test' && issuer.startsWith('https:')) {
    yield fault(
      'node_env',
      'NODE_ENV=test allows hashes of passwords that are too weak for the public',
      'Set NODE_ENV=production.',
    );
  } else if (nodeEnv !== 'production' && issuer.startsWith('https:')) {
    yield warning(
      'node_env',
      'NODE_ENV is not production, so that a .env in the working directory is read',
      'Set NODE_ENV=production.',
    );
  }
  if (nodeEnv !== 'production') return;
  if (!environment['REGISTRATION']) {
    yield warning(
      'registration_open',
      'anyone may register: REGISTRATION is open unless it is set',
      'Set REGISTRATION=closed, or open if it is meant.',
    );
  }
  if (!environment['DOCS']) {
    yield warning(
      'docs_on',
      'anyone may see /docs: DOCS is on unless it is set',
      'Set DOCS=off, or on if it is meant.',
    );
  }
}

/** Milliseconds. */
const LONG = 300_000;

function* staleness({ revocationMaxStaleness }: Config): Generator<Finding> {
  if (revocationMaxStaleness <= LONG) return;
  yield warning(
    'revocation_staleness',
    `REVOCATION_MAX_STALENESS is ${revocationMaxStaleness / 1000} s: for so long after the database ` +
      'was lost, a revoked token is accepted',
    'Set it to 60s, unless outages matter more than revoked tokens.',
  );
}
