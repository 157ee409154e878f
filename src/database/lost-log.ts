import { existsSync, readFileSync, statSync } from 'node:fs';
import { uptime } from 'node:os';

/** Of the wal-index, which begins with its header twice: https://sqlite.org/walformat.html */
const HEADER_BYTES = 48;
const LAYOUT = { isInit: 12, pageSize: 14, lastFrame: 16, copiedFrames: 96 };
/** Of the write-ahead log. */
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/**
 * Whether commits are gone that were in the write-ahead log: it was deleted or cut short after a
 * process was killed. SQLite takes what it finds for all there is, and would start with less. The
 * index beside it, which a process that was killed leaves, tells how long the log has to be.
 *
 * Call it before the database is opened: to close the index again gives up this process's locks on it.
 */
export function hasLostLog(file: string): boolean {
  const before = readIndex(file);
  if (before === undefined) return false;
  // By number of frames; those that were copied into the database are needed no more.
  const lastFrame = before.readUInt32LE(LAYOUT.lastFrame);
  if (lastFrame <= before.readUInt32LE(LAYOUT.copiedFrames)) return false;
  const code = before.readUInt16LE(LAYOUT.pageSize);
  const pageSize = code === 1 ? 65_536 : code;
  const log = `${file}-wal`;
  const found = existsSync(log) ? statSync(log).size : 0;
  if (found >= LOG_HEADER_BYTES + lastFrame * (FRAME_HEADER_BYTES + pageSize)) return false;
  // A process that is at work writes the index before it cuts the log.
  return readIndex(file)?.equals(before) ?? false;
}

/** The part of the index that tells of the log; undefined where it tells nothing for certain. */
function readIndex(file: string): Buffer | undefined {
  const index = `${file}-shm`;
  if (!existsSync(index)) return undefined;
  // It is never flushed: after a power cut it may be older or newer than the log.
  const bootedAt = Date.now() - uptime() * 1000;
  if (statSync(index).mtimeMs < bootedAt) return undefined;
  const bytes = readFileSync(index).subarray(0, LAYOUT.copiedFrames + 4);
  if (bytes.length < LAYOUT.copiedFrames + 4 || bytes[LAYOUT.isInit] !== 1) return undefined;
  const [first, second] = [bytes.subarray(0, HEADER_BYTES), bytes.subarray(HEADER_BYTES, 96)];
  return first.equals(second) ? bytes : undefined;
}
