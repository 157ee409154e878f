import type { Executor } from '../database/database.js';
import type { Keyring } from './keyring.js';
import type { Algorithm } from './signing-key.js';

/** `waiting` signs from its time on, `standby` when it is called, `retired` only verifies. */
const STATES = ['active', 'waiting', 'standby', 'retired'] as const;
export type KeyState = (typeof STATES)[number];

/** What may be shown of a key. */
export interface ListedKey {
  kid: string;
  algorithm: Algorithm;
  /** Epoch milliseconds; undefined for one of `JWT_SECRET`. */
  createdAt: number | undefined;
  /** Epoch milliseconds; undefined for a standby key, and for one of `JWT_SECRET`. */
  activateAt: number | undefined;
  state: KeyState;
}

/**
 * Every key that the verifiers accept, by state.
 * @param now epoch milliseconds
 * @throws temporarily_unavailable while the keyring is stale
 */
export async function listKeys(
  executor: Executor,
  keyring: Keyring,
  now: number,
): Promise<ListedKey[]> {
  const rows = await executor
    .selectFrom('signing_keys')
    .select(['kid', 'created_at', 'activate_at'])
    .execute();
  const stored = new Map(rows.map((row) => [row.kid, row]));
  const active = keyring.signingKey().kid;
  const stateOf = (kid: string): KeyState => {
    if (kid === active) return 'active';
    // JWT_SECRET_PREVIOUS verifies and never signs.
    const activateAt = stored.has(kid) ? stored.get(kid)?.activate_at : -Infinity;
    if (activateAt == null) return 'standby';
    return activateAt > now ? 'waiting' : 'retired';
  };
  return keyring
    .verificationKeys()
    .map(({ kid, algorithm }) => ({
      kid,
      algorithm,
      createdAt: stored.get(kid)?.created_at,
      activateAt: stored.get(kid)?.activate_at ?? undefined,
      state: stateOf(kid),
    }))
    .sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
}
