// Starts the built server, its command line and scripts of this folder as processes, kills them,
// and leaves none behind.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Everything that the run writes, PostgreSQL's data aside; removed at its end. */
export const directory = mkdtempSync(join(tmpdir(), 'latchkey-chaos-'));

const running = new Set();

const KEY_ENCRYPTION_SECRET = 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN';

/** Cheap logins, each as if from an address of its own: it is not guessing that is tried here. */
export function settings(databaseUrl, environment = {}) {
  return {
    PATH: process.env.PATH,
    NODE_ENV: 'test',
    PORT: '0',
    ISSUER: 'http://localhost:3000',
    DATABASE_URL: databaseUrl,
    ...(databaseUrl.startsWith('postgres') && { KEY_ENCRYPTION_SECRET }),
    ARGON2_MEMORY_KIB: '64',
    ARGON2_TIME: '1',
    TRUST_PROXY: '1',
    MAX_SESSIONS: '1000',
    LOG_LEVEL: 'warn',
    ...environment,
  };
}

/**
 * Starts the program as an operator does, and waits for the first 200 of `/health/ready`.
 * @param tracer a command, with its parameters, that starts the program and watches it
 * @returns with the seconds that it `took`, and those of them that it was `kept` waiting for a core
 */
export async function startServer(databaseUrl, environment, tracer = []) {
  const from = performance.now();
  const env = settings(databaseUrl, environment);
  const child = launch('../dist/main.js', [], env, { tracer });
  const server = { url: `http://127.0.0.1:${await portOf(child)}` };
  for (;;) {
    const response = await fetch(`${server.url}/health/ready`).catch(() => undefined);
    const took = (performance.now() - from) / 1000;
    await response?.text();
    if (response?.status === 200)
      return { ...server, took, kept: keptWaiting(child), ...handle(child) };
    if (child.how !== undefined || took > 30) throw failure(child, 'is not ready');
    await sleep(5);
  }
}

/** Starts a command of the command line, and does not wait. */
export function startCommand(databaseUrl, ...parameters) {
  return handle(launch('../dist/cli.js', parameters, settings(databaseUrl)));
}

/** Starts a script of this folder that answers questions. @returns what it says first, and `ask` */
export async function startScript(file, databaseUrl) {
  const child = launch(file, [], settings(databaseUrl), { channel: 'ipc' });
  const pending = new Map();
  const hello = await new Promise((resolve, reject) => {
    child.once('exit', () => reject(failure(child, 'ended')));
    child.on('message', ({ id, answer, failure: stack, hello: first }) => {
      if (first) return resolve(first);
      const { done, fail } = pending.get(id);
      pending.delete(id);
      if (stack) fail(new Error(stack));
      else done(answer);
    });
  });
  let last = 0;
  const ask = (name, argument) =>
    new Promise((done, fail) => {
      pending.set(++last, { done, fail });
      child.send({ id: last, name, argument });
    });
  return { ...hello, ask, ...handle(child) };
}

function launch(file, parameters, env, { channel = 'ignore', tracer = [] } = {}) {
  const script = join(import.meta.dirname, file);
  const [command, ...words] = [...tracer, process.execPath, script, ...parameters];
  const child = spawn(command, words, {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'pipe', channel],
  });
  child.script = script;
  child.said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => (child.said = (child.said + text).slice(-8000)));
  }
  child.complaints = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (/^{"level":"(error|fatal)"/.test(line)) child.complaints.push(line);
  });
  running.add(child);
  child.ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      running.delete(child);
      child.how = signal ?? code;
      resolve(child.how);
    });
  });
  return child;
}

/** Seconds in which a process could have run and others did; 0 where the system does not tell. */
function keptWaiting({ pid }) {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e9;
  } catch {
    return 0;
  }
}

function handle(child) {
  return {
    pid: child.pid,
    /** How it ended, undefined while it runs. */
    exit: () => child.how,
    said: () => child.said,
    /** What its log tells as an error. */
    complaints: () => child.complaints,
    /** Waits for the end. @returns the exit code, or the signal */
    end: () => child.ended,
    kill: (signal = 'SIGKILL') => {
      child.kill(signal);
      return child.ended;
    },
  };
}

function portOf(child) {
  return new Promise((resolve, reject) => {
    child.stderr.on('data', () => {
      const port = /listens on http:\/\/localhost:(\d+)/.exec(child.said)?.[1];
      if (port !== undefined) resolve(port);
    });
    child.once('exit', () => reject(failure(child, 'did not start')));
  });
}

const failure = (child, what) => new Error(`${child.script} ${what}: ${child.said}`);

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});
