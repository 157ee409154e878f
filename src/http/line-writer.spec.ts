import { execFileSync, spawn } from 'node:child_process';
import {
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { droppedLines } from '../metrics/metrics.js';
import { LineWriter } from './line-writer.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'latchkey-lines-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const lines = (count: number, length: number): string[] =>
  Array.from({ length: count }, (_, index) => `${index} 이름 ${'x'.repeat(length)}\n`);

it('writes every line, in order and soon, also one that is longer than a batch', async () => {
  const file = join(directory, 'log');
  const writer = new LineWriter(openSync(file, 'a'));
  const written = [...lines(2000, 150), ...lines(1, 200_000), ...lines(2000, 3)];
  for (const line of written) writer.write(line);
  await expectSoon(() => readFileSync(file, 'utf8') === written.join(''));
});

it('waits for a slow reader before the process ends', async () => {
  const pipe = fullablePipe();
  const filling = Buffer.alloc(4096, '.');
  let filled = 0;
  expect(() => {
    for (;;) filled += writeSync(pipe, filling);
  }).toThrow(/EAGAIN/);
  const writer = new LineWriter(pipe);
  const [written = ''] = lines(1, 200_000); // more than a pipe takes at once
  writer.write(written);
  const reader = spawn('cat', [join(directory, 'pipe')]);
  const read: Buffer[] = [];
  reader.stdout.on('data', (some: Buffer) => read.push(some));
  try {
    writer.flushSync();
    await expectSoon(() => Buffer.concat(read).subarray(filled).toString() === written);
  } finally {
    reader.kill();
  }
});

it('writes what waits before the process ends', () => {
  const file = join(directory, 'log');
  const writer = new LineWriter(openSync(file, 'a'));
  for (const line of lines(10, 20)) writer.write(line);
  writer.flushSync();
  expect(readFileSync(file, 'utf8')).toBe(lines(10, 20).join(''));
});

it('keeps what a slow reader does not take yet', async () => {
  const pipe = fullablePipe();
  const writer = new LineWriter(pipe);
  const written = lines(4000, 100).join('');
  for (const line of lines(4000, 100)) writer.write(line);
  await sleep(300); // the pipe holds a part of it, and is full
  const read: Buffer[] = [];
  await expectSoon(() => {
    read.push(...readSome(pipe, 10_000));
    return Buffer.concat(read).toString() === written;
  });
});

it('drops whole lines rather than keep more than 4 MiB of them', async () => {
  const pipe = fullablePipe();
  const writer = new LineWriter(pipe);
  const written = lines(80_000, 100);
  for (const line of written) writer.write(line);
  const read: Buffer[] = [];
  for (let silent = 0; silent < 40; silent++) {
    const some = readSome(pipe, 65_536);
    if (some.length > 0) silent = 0;
    read.push(...some);
    await sleep(10);
  }
  const text = Buffer.concat(read).toString();
  expect(text.length).toBeGreaterThan(3 * 1024 * 1024);
  expect(text.length).toBeLessThan(5 * 1024 * 1024);
  const { values } = await droppedLines.get();
  expect(values[0]?.value).toBe(80_000 - text.split('\n').length + 1);
  const known = new Set(written);
  expect(text.split('\n').filter((line) => line !== '' && !known.has(`${line}\n`))).toEqual([]);
});

it('outlives a destination that takes nothing any more', async () => {
  const file = join(directory, 'log');
  const writer = new LineWriter(openSync(file, constants.O_RDONLY | constants.O_CREAT));
  writer.write('lost\n');
  await sleep(300);
  writer.write('lost as well\n');
  expect(() => writer.flushSync()).not.toThrow();
});

/** A pipe that, like a slow reader's, refuses what does not fit into it. */
function fullablePipe(): number {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

function readSome(pipe: number, size: number): Buffer[] {
  const buffer = Buffer.alloc(size);
  try {
    return [buffer.subarray(0, readSync(pipe, buffer))];
  } catch {
    return []; // it is empty
  }
}

async function expectSoon(met: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !met(); tries++) await sleep(10);
  expect(met()).toBe(true);
}
