import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { Clock } from '../clock.js';
import { UserExport } from '../users/export.js';
import { type Domain, inDomain } from './context.js';
import { type OutputOptions, print } from './output.js';
import { progress } from './progress.js';

const ACTOR = { id: 'cli' };

/** Writes all users to a new file, or to standard output. */
export async function exportUsers(path: string | undefined, options: OutputOptions): Promise<void> {
  await inDomain(async (domain) => {
    if (path === undefined) {
      if (process.stdout.isTTY) process.stderr.write('These are password hashes: keep them.\n');
      await writeTo(domain, writeToStandardOutput);
    } else {
      const exported = await writeFile(path, (file) =>
        writeTo(domain, async (text) => {
          await file.writeFile(text);
        }),
      );
      print(options, { exported, file: path }, `${exported} users are in ${path}`);
    }
  });
}

/** @returns how many there were */
async function writeTo(domain: Domain, write: (text: string) => Promise<void>): Promise<number> {
  const clock = domain.get(Clock);
  const tell = progress(() => clock.monotonic());
  let count = 0;
  for await (const lines of domain.get(UserExport).pages(ACTOR)) {
    await write(`${lines.join('\n')}\n`);
    count += lines.length;
    tell(() => `${count} exported`);
  }
  return count;
}

async function writeToStandardOutput(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** Whole or not at all, for the owner alone, and never over another file. */
async function writeFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    const result = await work(file);
    await file.sync();
    await link(draft, path);
    return result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(`${path} is there already`);
  } finally {
    await file.close();
    await unlink(draft);
  }
}
