import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** Bytes: more than any password or token has. */
const MOST = 65_536;

/**
 * A password as it is chosen: typed twice at a terminal, which shows nothing of it, or all of
 * standard input where that is no terminal. Never an argument, which every user of the machine
 * could read.
 * @throws Error when the two differ, or none came
 */
export async function newPassword(): Promise<string> {
  if (!process.stdin.isTTY) return readStandardInput();
  const terminal = createInterface({
    input: process.stdin,
    output: new Writable({ write: (_chunk, _encoding, done) => done() }),
    terminal: true,
    historySize: 0,
  });
  const lines = terminal[Symbol.asyncIterator]();
  const ask = async (question: string): Promise<string> => {
    // Not on standard output, which is the command's result.
    process.stderr.write(question);
    const line = await lines.next();
    process.stderr.write('\n');
    if (line.done) throw new Error('Nothing was done');
    return line.value;
  };
  try {
    const password = await ask('Password: ');
    if ((await ask('The same again: ')) !== password) throw new Error('The passwords differ');
    return password;
  } finally {
    terminal.close();
  }
}

/**
 * Standard input to its end, without the line break that `echo` adds.
 * @throws Error for more than one line, or what is not UTF-8
 */
export async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MOST) throw new Error('There is too much on standard input');
  }
  const text = decode(Buffer.concat(chunks)).replace(/\r?\n$/, '');
  if (text.includes('\n')) throw new Error('There is more than one line on standard input');
  return text;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('Standard input is not UTF-8');
  }
}
