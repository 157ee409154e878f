import { type FileHandle, open } from 'node:fs/promises';
import { Clock } from '../clock.js';
import { UserImport } from '../users/import.js';
import { BadLine, type BroughtUser, readUserLine } from '../users/import-line.js';
import { NameSet } from '../users/name-set.js';
import { inDomain } from './context.js';
import { type Line, linesOf } from './lines.js';
import { type OutputOptions, print, printable } from './output.js';
import { progress } from './progress.js';

const ACTOR = { id: 'cli' };
const BATCH = 1_000;
/** Bytes. */
const LONGEST_LINE = 16_384;

export interface ImportOptions extends OutputOptions {
  dryRun?: true;
}

/** Of the lines so far: a dry run has nothing of them in the database. */
interface Seen {
  names: NameSet;
  ids: NameSet;
}

/** A line that is not blank: its user, or what is wrong with it. */
interface Read {
  number: number;
  user: BroughtUser | string;
}

/** Creates the users of a file. A bad line is told and left out; then the exit code is 1. */
export async function importUsers(path: string, options: ImportOptions): Promise<void> {
  const file = path === '-' ? undefined : await openToRead(path);
  const size = file && (await file.stat()).size;
  const stream = (file?.createReadStream() ?? process.stdin) as AsyncIterable<Buffer>;
  await inDomain(async (domain) => {
    const users = domain.get(UserImport);
    const clock = domain.get(Clock);
    const tell = progress(() => clock.monotonic());
    const count = { imported: 0, skipped: 0, bad: 0 };
    for await (const { lines, read } of batches(stream)) {
      const good = lines.filter((line): line is Read & { user: BroughtUser } => !isBad(line));
      const batch = good.map(({ user }) => user);
      const outcomes = options.dryRun
        ? await users.rehearse(batch)
        : await users.import(batch, ACTOR);
      const outcomeOf = new Map(good.map((line, index) => [line, outcomes[index]]));
      for (const line of lines) {
        const outcome = outcomeOf.get(line as Read & { user: BroughtUser });
        if (outcome === 'imported') count.imported++;
        else if (outcome === 'name_taken') count.skipped++;
        else {
          count.bad++;
          report(line.number, isBad(line) ? line.user : 'its id is that of another user');
        }
      }
      const part = size ? `, ${Math.floor((100 * read) / size)} %` : '';
      tell(() => `${describe(count, options)}${part}`);
    }
    print(options, { ...count, dry_run: options.dryRun === true }, describe(count, options));
    if (count.bad > 0) process.exitCode = 1;
  });
}

/** What is read of a file, a batch at a time. */
async function* batches(
  stream: AsyncIterable<Buffer>,
): AsyncGenerator<{ lines: Read[]; read: number }> {
  const seen = { names: new NameSet(), ids: new NameSet() };
  let lines: Read[] = [];
  let read = 0;
  for await (const line of linesOf(stream, LONGEST_LINE)) {
    read = line.read;
    const user = readLine(line, seen);
    if (user !== undefined) lines.push({ number: line.number, user });
    if (lines.length < BATCH) continue;
    yield { lines, read };
    lines = [];
  }
  if (lines.length > 0) yield { lines, read };
}

/** Undefined for a blank line. */
function readLine({ bytes }: Line, { names, ids }: Seen): BroughtUser | string | undefined {
  if (bytes === undefined) return `it is longer than ${LONGEST_LINE} bytes`;
  if (/^\s*$/.test(bytes.toString('latin1'))) return undefined;
  try {
    const user = readUserLine(bytes);
    // A line that is refused takes nothing from those after it.
    if (names.has(user.canonicalUsername)) return 'its username is that of an earlier line';
    if (user.id !== undefined && !ids.add(user.id)) return 'its id is that of an earlier line';
    names.add(user.canonicalUsername);
    return user;
  } catch (error) {
    if (error instanceof BadLine) return error.message;
    throw error;
  }
}

const isBad = (line: Read): line is Read & { user: string } => typeof line.user === 'string';

function report(number: number, reason: string): void {
  process.stderr.write(`line ${number}: ${printable(reason)}\n`);
}

const describe = (
  { imported, skipped, bad }: { imported: number; skipped: number; bad: number },
  { dryRun }: ImportOptions,
): string =>
  `${imported} ${dryRun ? 'would be ' : ''}imported, ${skipped} there already, ${bad} bad`;

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    throw new Error(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
