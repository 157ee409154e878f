import { hash } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { AuditCheckpointsTable, AuditSealsTable, AuditTable } from '../database/schema.js';
import type { SealKey } from './seal-keys.js';

export type AuditRow = Selectable<AuditTable>;
export type Seal = AuditSealsTable;
export type Checkpoint = AuditCheckpointsTable;

/** What the next seal builds on: a seal, the last one that is gone, or the beginning. */
export type Link = Pick<Seal, 'id' | 'last_row' | 'total' | 'chain' | 'mac'>;

export const BEGINNING: Link = { id: 0, last_row: 0, total: 0, chain: '', mac: '' };

/** Characters of base64url: enough to find the row; the chain proves it. */
const SHOWN = 8;

/** Takes up rows in the order of their ids. */
export class RowDigests {
  readonly #digests: string[] = [];
  readonly #shown: string[] = [];
  last = 0;

  add(row: AuditRow): void {
    const digest = hash('sha256', canonical(row), 'base64url');
    this.#digests.push(digest);
    this.#shown.push(`${row.id}:${digest.slice(0, SHOWN)}`);
    this.last = row.id;
  }

  get count(): number {
    return this.#shown.length;
  }

  get shown(): string {
    return this.#shown.join(' ');
  }

  /** Of all rows together. */
  whole(): string {
    return hash('sha256', this.#digests.join(''), 'base64url');
  }
}

/** JSON of an array: no two rows have the same. */
function canonical(row: AuditRow): string {
  const { id, at, event, user_id, actor, address, session_id, detail } = row;
  return JSON.stringify([id, at, event, user_id, actor, address, session_id, detail]);
}

/**
 * The chain has no key, so that it can be followed through seals of a secret that is gone: a later
 * MAC under one that is there proves all that came before it.
 */
export function chainOf(
  previous: Link,
  seal: Pick<Seal, 'last_row' | 'total' | 'at' | 'secret_id'>,
  whole: string,
): string {
  const { last_row, total, at, secret_id } = seal;
  const content = [previous.chain, previous.id + 1, last_row, total, at, secret_id, whole];
  return hash('sha256', JSON.stringify(content), 'base64url');
}

export function makeSeal(previous: Link, rows: RowDigests, at: number, key: SealKey): Seal {
  const content = {
    last_row: rows.count === 0 ? previous.last_row : rows.last,
    total: previous.total + rows.count,
    at,
    secret_id: key.id,
  };
  const chain = chainOf(previous, content, rows.whole());
  return {
    id: previous.id + 1,
    ...content,
    digests: rows.shown,
    chain,
    mac: key.mac(sealed(chain)),
  };
}

/** Says that all up to a seal is gone. */
export function makeCheckpoint(
  id: number,
  gone: Link,
  by: { at: number; actor: string },
  key: SealKey,
): Checkpoint {
  const content = {
    id,
    seal_id: gone.id,
    last_row: gone.last_row,
    total: gone.total,
    chain: gone.chain,
    seal_mac: gone.mac,
    at: by.at,
    actor: by.actor,
    secret_id: key.id,
  };
  return { ...content, mac: key.mac(checkpointed(content)) };
}

export function linkOf(checkpoint: Checkpoint): Link {
  const { seal_id: id, last_row, total, chain, seal_mac } = checkpoint;
  return { id, last_row, total, chain, mac: seal_mac };
}

export const isGenuineSeal = (seal: Seal, key: SealKey): boolean =>
  key.made(seal.mac, sealed(seal.chain));

export const isGenuineCheckpoint = (checkpoint: Checkpoint, key: SealKey): boolean =>
  key.made(checkpoint.mac, checkpointed(checkpoint));

const sealed = (chain: string): string => JSON.stringify(['seal', chain]);

function checkpointed(checkpoint: Omit<Checkpoint, 'mac'>): string {
  const { id, seal_id, last_row, total, chain, seal_mac, at, actor, secret_id } = checkpoint;
  return JSON.stringify([
    'checkpoint',
    ...[id, seal_id, last_row, total, chain, seal_mac, at, actor, secret_id],
  ]);
}
