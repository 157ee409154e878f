import type { Executor } from '../database/database.js';
import {
  type AuditRow,
  BEGINNING,
  type Checkpoint,
  isGenuineCheckpoint,
  isGenuineSeal,
  type Link,
  linkOf,
  type Seal,
} from './seal.js';
import type { SealKeys } from './seal-keys.js';

const PAGE = 1_000;
/** Each may list a thousand rows; who prunes needs few of them. */
const FEW = 16;
const MANY = 1_024;

export async function lastCheckpoint(executor: Executor): Promise<Checkpoint | undefined> {
  return executor
    .selectFrom('audit_checkpoints')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function lastSeal(executor: Executor): Promise<Seal | undefined> {
  return executor
    .selectFrom('audit_seals')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** What the next seal builds on. */
export async function lastLink(executor: Executor): Promise<Link> {
  const seal = await lastSeal(executor);
  if (seal !== undefined) return seal;
  const checkpoint = await lastCheckpoint(executor);
  return checkpoint === undefined ? BEGINNING : linkOf(checkpoint);
}

/** That, and whether somebody with one of these keys wrote it: nothing may build on it otherwise. */
export async function proveLastLink(
  executor: Executor,
  keys: SealKeys,
): Promise<{ link: Link; isOurs: boolean }> {
  const seal = await lastSeal(executor);
  if (seal !== undefined) {
    const key = keys.find(seal.secret_id);
    return { link: seal, isOurs: key !== undefined && isGenuineSeal(seal, key) };
  }
  const checkpoint = await lastCheckpoint(executor);
  if (checkpoint === undefined) return { link: BEGINNING, isOurs: true };
  const key = keys.find(checkpoint.secret_id);
  return {
    link: linkOf(checkpoint),
    isOurs: key !== undefined && isGenuineCheckpoint(checkpoint, key),
  };
}

/** Rows in the order of their ids, a page at most. @param upTo the greatest id */
export function readRows(
  executor: Executor,
  after: number,
  upTo = Number.MAX_SAFE_INTEGER,
): Promise<AuditRow[]> {
  return executor
    .selectFrom('audit')
    .select(['id', 'at', 'event', 'user_id', 'actor', 'address', 'session_id', 'detail'])
    .where('id', '>', after)
    .where('id', '<=', upTo)
    .orderBy('id')
    .limit(PAGE)
    .execute();
}

/** All seals after one, page by page. */
export async function* readSeals(executor: Executor, after: number): AsyncGenerator<Seal[]> {
  let last = after;
  for (let limit = FEW; ; limit = Math.min(limit * 2, MANY)) {
    const page = await executor
      .selectFrom('audit_seals')
      .selectAll()
      .where('id', '>', last)
      .orderBy('id')
      .limit(limit)
      .execute();
    if (page.length === 0) return;
    yield page;
    last = page.at(-1)!.id;
  }
}
