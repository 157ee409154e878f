// What a server writes beside its database, in order, and what a power cut leaves of it.
//
// The log comes from strace, which follows the main thread alone: SQLite and the sockets are both at
// work there, so that the order in the trace is the order of the program. What another thread wrote
// would be missing, and the files would not be what the log comes to.
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './world.mjs';

/** Some systems have only the second of a pair. */
const CALLS =
  'openat,?link,linkat,?unlink,unlinkat,write,writev,pwrite64,ftruncate,fsync,fdatasync';
/** Bytes of one write that are recorded; more than any has. */
const MOST = 131_072;
/** Bytes that a disk writes whole or not at all. */
const SECTORS = [512, 4096];
/** Of SQLite's write-ahead log. */
const LOG_HEADER_BYTES = 32;
/** Milliseconds. */
const PATIENCE = 10_000;

/** @throws where there is no strace */
export function requireStrace() {
  if (spawnSync('strace', ['-V']).error !== undefined) {
    throw new Error("There is no strace: install Debian's package strace.");
  }
}

/** What starts a program that writes a trace; the program stays the child of whoever starts it. */
export const tracer = (trace) =>
  ['strace', '-D', '-q', '-y', '-xx', '-s', MOST, '-o', trace, '-e', `trace=${CALLS}`].map(String);

/**
 * Reads the trace of a program that has ended.
 * @param folder where its database is, without symbolic links
 * @returns the steps: writes and flushes of files there, changes of their names, and answers
 */
export async function readLog(trace, folder) {
  const isWhole = () => `${spawnSync('tail', ['-n', '1', trace]).stdout}`.startsWith('+++ exited');
  if ((await until(isWhole, true, PATIENCE)) === undefined) throw new Error('The trace has no end');
  const steps = [];
  const files = new Map();
  const inFolder = (path) => dirname(path) === folder && !path.endsWith('-shm');
  for await (const line of createInterface({ input: createReadStream(trace, 'latin1') })) {
    const answer = ANSWER.exec(line);
    if (answer !== null) steps.push({ kind: 'answer', requestId: decoded(answer[1]).toString() });
    const call = CALL.exec(line);
    // What failed changed nothing.
    if (call === null || call.groups.result < 0) continue;
    for (const step of stepsOf(call.groups, folder, inFolder, files)) steps.push(step);
  }
  return steps;
}

/** As strace writes it: the call, its first descriptor's path, the rest, and the result. */
const CALL = /^(?<name>\w+)\((?:\w+<(?<hex>[^>]*)>)?(?<rest>.*)\)\s+= (?<result>-?\d+)/;
const escaped = (text) =>
  [...Buffer.from(text)].map((byte) => `\\\\x${byte.toString(16).padStart(2, '0')}`).join('');
const ANSWER = new RegExp(`${escaped('x-request-id: ')}((?:\\\\x..){36})`);
const decoded = (hex) => Buffer.from(hex.replaceAll('\\x', ''), 'hex');

function* stepsOf({ name, hex = '', rest, result }, folder, inFolder, files) {
  const texts = Array.from(rest.matchAll(/"([^"]*)"/g), ([, text]) => decoded(text));
  const numbers = rest.slice(rest.lastIndexOf('"') + 1).match(/\d+/g) ?? [];
  const path = decoded(hex).toString();
  const file = files.get(path);
  const renamed = (of, to) => {
    if (to === undefined) files.delete(of);
    else files.set(of, to);
    return { kind: 'name', name: basename(of), file: to };
  };
  switch (name) {
    case 'openat': {
      const opened = texts[0].toString();
      if (!inFolder(opened) || files.has(opened) || !rest.includes('O_CREAT')) return;
      return yield renamed(opened, { name: basename(opened), size: 0 });
    }
    case 'link':
    case 'linkat': {
      const [from, to] = texts.map(String);
      if (inFolder(to)) yield renamed(to, files.get(from));
      return;
    }
    case 'unlink':
    case 'unlinkat':
      if (inFolder(texts[0].toString())) yield renamed(texts[0].toString(), undefined);
      return;
    case 'fsync':
    case 'fdatasync':
      if (path === folder) yield { kind: 'flush of names' };
      else if (file !== undefined) yield { kind: 'flush', file };
      return;
  }
  if (file === undefined) return;
  if (name === 'ftruncate') {
    file.size = Number(numbers[0]);
    return yield { kind: 'truncate', file, size: file.size };
  }
  const bytes = texts[0].subarray(0, Number(result));
  if (bytes.length < result) throw new Error(`Of a write to ${path} not all is in the trace`);
  // What is written without a position is appended here: only new files are.
  const at = name === 'pwrite64' ? Number(numbers[1]) : file.size;
  file.size = Math.max(file.size, at + bytes.length);
  yield { kind: 'write', file, at, bytes };
}

/**
 * The flushes of SQLite's write-ahead log that `synchronous=NORMAL` does not do: those of a commit.
 * It does do that of the log's new header, and the one by which a checkpoint begins: the next step
 * after that one is the checkpoint's first write to the database.
 * https://sqlite.org/pragma.html#pragma_synchronous
 */
export function flushesOfCommits(steps) {
  const found = new Set();
  const isLog = ({ file }) => file?.name.endsWith('-wal');
  const onDisk = steps.filter((step) => isLog(step) || step.file?.name.endsWith('.db'));
  onDisk.forEach((step, i) => {
    if (step.kind !== 'flush' || !isLog(step)) return;
    const { at, bytes } = onDisk[i - 1];
    const ofHeader = at === 0 && bytes.length === LOG_HEADER_BYTES;
    const ofCheckpoint = i + 1 < onDisk.length && !isLog(onDisk[i + 1]);
    if (!ofHeader && !ofCheckpoint) found.add(step);
  });
  return found;
}

/**
 * The files after a power cut before the step `cut`. What was flushed is there. Of what was
 * written after that, each sector is kept or lost by chance, so that a write is torn and a later
 * one can be there without an earlier one. Names change in order, as journaling file systems do
 * it: the first few changes after the last flush are there.
 * @param kept how probably a sector is kept
 * @param ignored flushes that are taken as if they had not been done
 * @returns the files by name, and whether anything was not flushed, and any write torn
 */
export function crashImage(steps, cut, { kept = Math.random(), ignored = new Set() } = {}) {
  const sector = SECTORS[randomInt(SECTORS.length)];
  const contents = new Map();
  const names = new Map();
  const changes = [];
  const change = ({ name, file }) => (file ? names.set(name, file) : names.delete(name));
  for (const step of steps.slice(0, cut)) {
    const { kind, file } = step;
    if (kind === 'flush of names') changes.splice(0).forEach(change);
    else if (kind === 'name') changes.push(step);
    else if (kind !== 'answer') {
      if (!contents.has(file)) contents.set(file, { content: new Content(), pending: [] });
      const { content, pending } = contents.get(file);
      if (kind !== 'flush') pending.push(step);
      else if (!ignored.has(step)) {
        for (const written of pending.splice(0)) content.apply(written);
      }
    }
  }
  changes.slice(0, kept === 1 ? undefined : randomInt(changes.length + 1)).forEach(change);
  let unflushed = false;
  let torn = false;
  for (const { content, pending } of contents.values()) {
    unflushed ||= pending.length > 0;
    for (const step of pending) {
      const parts = partsOf(step, sector);
      const written = parts.filter(() => Math.random() < kept);
      torn ||= written.length > 0 && written.length < parts.length;
      for (const part of written) content.apply(part);
    }
  }
  const files = [...names].map(([name, file]) => [
    name,
    contents.get(file)?.content.bytes ?? Buffer.alloc(0),
  ]);
  return { files: new Map(files), unflushed, torn };
}

/** A write, sector by sector. */
function partsOf(step, sector) {
  if (step.kind === 'truncate') return [step];
  const parts = [];
  const { at, bytes } = step;
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(bytes.length, from + sector - ((at + from) % sector));
    parts.push({ at: at + from, bytes: bytes.subarray(from, to) });
    from = to;
  }
  return parts;
}

/** What is in a file, as it grows and shrinks. */
class Content {
  #buffer = Buffer.alloc(0);
  #size = 0;

  get bytes() {
    return this.#buffer.subarray(0, this.#size);
  }

  /** @param step a write, or a part of one, or that the file was truncated */
  apply({ at, bytes, size }) {
    if (bytes === undefined) return this.#resize(size);
    this.#resize(Math.max(this.#size, at + bytes.length));
    this.#buffer.set(bytes, at);
  }

  #resize(size) {
    if (size > this.#buffer.length) this.#buffer = Buffer.concat([this.bytes], 2 * size);
    if (size < this.#size) this.#buffer.fill(0, size, this.#size);
    this.#size = size;
  }
}
