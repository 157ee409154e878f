import { Clock } from '../clock.js';
import { Database } from '../database/database.js';
import { listKeys } from '../keys/key-list.js';
import { KeyRotation } from '../keys/key-rotation.js';
import { Keyring } from '../keys/keyring.js';
import { type Domain, inDomain } from './context.js';
import { type OutputOptions, print, table, utc } from './output.js';

const ACTOR = 'cli';

export interface RotateOptions extends OutputOptions {
  compromised?: true;
  all?: true;
}

export function list(options: OutputOptions): Promise<void> {
  return inDomain((domain) => show(domain, options));
}

/** Afterwards all keys are shown. */
export function rotate(options: RotateOptions): Promise<void> {
  return inDomain(async (domain) => {
    const rotation = domain.get(KeyRotation);
    const all = options.all === true;
    if (all && options.compromised === undefined) {
      throw new Error('--all goes with --compromised: it withdraws every key');
    }
    await (options.compromised ? rotation.replaceCompromised(ACTOR, all) : rotation.rotate(ACTOR));
    await domain.get(Keyring).reload();
    await show(domain, options);
  });
}

export function reencrypt(options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const count = await domain.get(KeyRotation).reencrypt(ACTOR);
    const done = `${count} ${count === 1 ? 'key is' : 'keys are'} now under KEY_ENCRYPTION_SECRET`;
    print(options, { reencrypted: count }, count === 0 ? 'Every key was already' : done);
  });
}

async function show(domain: Domain, options: OutputOptions): Promise<void> {
  const keys = await listKeys(domain.get(Database), domain.get(Keyring), domain.get(Clock).now());
  const shown = keys.map(({ kid, algorithm, createdAt, activateAt, state }) => ({
    kid,
    algorithm,
    created_at: time(createdAt),
    signs_from: time(activateAt),
    state,
  }));
  const rows = shown.map((key) => [
    key.kid,
    key.algorithm,
    key.created_at ?? '-',
    key.signs_from ?? '-',
    key.state,
  ]);
  print(options, shown, table(['KID', 'ALGORITHM', 'CREATED', 'SIGNS FROM', 'STATE'], rows));
}

const time = (at: number | undefined): string | null => (at === undefined ? null : utc(at));
