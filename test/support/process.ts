import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expectNowhere } from './kept.js';
import { secretsOf, watch } from './watch.js';

type Environment = Record<string, string>;

interface Exit {
  /** Null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  pid: number;
  /** What it wrote so far. */
  stdout: () => string;
  stderr: () => string;
  /** Sends a signal, SIGKILL unless told otherwise, and waits for the end. */
  kill: (signal?: NodeJS.Signals) => Promise<Exit>;
  exit: Promise<Exit>;
}

interface SpawnedProcess extends RunningProcess {
  /** The first line that it writes like this; undefined when it ended instead. */
  line: (pattern: RegExp) => Promise<string | undefined>;
}

export interface StartingServer extends RunningProcess {
  /** Its port once it listens; undefined when it ended instead. */
  listening: Promise<number | undefined>;
}

export interface ServerProcess extends RunningProcess {
  url: string;
  port: number;
}

/** Cheap enough for many logins; and a port of its own for each process. */
const SERVER: Environment = {
  NODE_ENV: 'test',
  PORT: '0',
  ISSUER: 'http://localhost:3000',
  ARGON2_MEMORY_KIB: '64',
  ARGON2_TIME: '1',
};

export const KEY_ENCRYPTION_SECRET = 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN';

/** What a server needs to run on a database of `newDatabase()`. */
export function serverEnvironment(databaseUrl: string): Environment {
  return databaseUrl.startsWith('sqlite:')
    ? { DATABASE_URL: databaseUrl }
    : { DATABASE_URL: databaseUrl, KEY_ENCRYPTION_SECRET };
}

/** Starts the program itself, `node dist/main.js`, and does not wait. */
export function spawnServer(environment: Environment): StartingServer {
  const server = spawnNode('dist/main.js', { ...SERVER, ...environment });
  return { ...server, listening: server.line(/^\{.*"msg":"listening".*\}$/m).then(portOf) };
}

/** Starts the program and waits until it listens. */
export async function startServer(environment: Environment): Promise<ServerProcess> {
  const server = spawnServer(environment);
  const port = await server.listening;
  if (port === undefined) throw new Error(`The server did not start: ${server.stderr()}`);
  const url = `http://127.0.0.1:${port}`;
  watch(url);
  return {
    ...server,
    port,
    url,
    kill: async (signal) => {
      const exit = await server.kill(signal);
      // Of what it was told nothing may be in what it wrote, but the example in its welcome.
      const stderr = server.stderr().replace(/^\n {2}Latchkey listens[^]*?\$TOKEN"\n/m, '');
      expectNowhere({ stdout: server.stdout(), stderr }, secretsOf(url));
      return exit;
    },
  };
}

/** A start that must not succeed: waits for its end, and tells how it ended and what it said. */
export async function refusedStart(
  environment: Environment,
): Promise<Exit & { stdout: string; stderr: string }> {
  const server = spawnServer(environment);
  if ((await server.listening) !== undefined) {
    await server.kill();
    throw new Error('The server started');
  }
  return { ...(await server.exit), stdout: server.stdout(), stderr: server.stderr() };
}

/** A script of this repository, by its path from the root. */
export function spawnNode(script: string, environment: Environment): SpawnedProcess {
  return spawnCommand(process.execPath, script, environment);
}

/**
 * Runs a script of this repository as a process of its own, with nothing of our environment but
 * the `PATH`, and away from any `.env`.
 */
export function spawnCommand(
  command: string,
  script: string,
  environment: Environment,
): SpawnedProcess {
  const file = fileURLToPath(new URL(`../../${script}`, import.meta.url));
  const child = spawn(command, [file], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], ...environment },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const exit = new Promise<Exit>((resolve) => {
    // 'close' comes after the last of its output.
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  return {
    pid: child.pid!,
    stdout: () => stdout,
    stderr: () => stderr,
    exit,
    kill: (signal = 'SIGKILL') => {
      child.kill(signal);
      return exit;
    },
    line: (pattern) =>
      new Promise((resolve) => {
        const look = () => {
          const found = pattern.exec(stdout)?.[0];
          if (found !== undefined) resolve(found);
        };
        child.stdout.on('data', look);
        void exit.then(() => resolve(undefined));
      }),
  };
}

function portOf(line: string | undefined): number | undefined {
  return line === undefined ? undefined : (JSON.parse(line) as { port: number }).port;
}

const running = new Set<ChildProcess>();

// Whatever a test that failed left behind.
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});
