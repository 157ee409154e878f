import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

interface Result {
  /** Null when it was killed. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Command {
  result: Promise<Result>;
  /** More for its standard input. */
  write: (input: string) => void;
  /** Ends it with SIGKILL. */
  kill: () => Promise<Result>;
}

/** Starts `node dist/cli.js` with the settings of a test, and nothing else of our environment. */
export function startCli(settings: Record<string, string>, args: string[]): Command {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: tmpdir(),
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'test',
      ISSUER: 'http://localhost:3000',
      ARGON2_MEMORY_KIB: '64',
      ARGON2_TIME: '1',
      ...settings,
    },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => undefined); // it was killed
  const result = new Promise<Result>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
  return {
    result,
    write: (input) => child.stdin.write(input),
    kill: () => {
      child.kill('SIGKILL');
      return result;
    },
  };
}

/** Runs a command to its end, on a file or with nothing on its standard input. */
export function runCli(settings: Record<string, string>, ...args: string[]): Promise<Result> {
  return startCli(settings, args).result;
}

const running = new Set<ChildProcess>();

// Whatever a test that failed left behind.
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});
