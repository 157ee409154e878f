// Starts processes on cores of their own, talks to them, and leaves none behind.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Everything that the run writes; removed at its end. */
export const directory = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));

const running = new Set();

/** The cores of this process before it moved to one of them; undefined without `taskset`. */
const cores = allowedCores();
const pinned = cores !== undefined && cores.length > 1;
export const SERVER = pinned ? cores[0] : undefined;
export const LOAD = pinned ? cores.at(-1) : undefined;
const EVERY_CORE = pinned ? cores.join(',') : undefined;

// What this process does, such as reading the servers' logs, is part of the load.
if (pinned) taskset('-cp', String(LOAD), String(process.pid));

/**
 * Starts a file of this folder.
 * @param core where it runs: SERVER or LOAD
 * @param environment its settings; it sees no others
 */
export async function start(file, core, environment = {}) {
  const child = launch(join(import.meta.dirname, file), core, environment, 'ipc');
  const pending = new Map();
  const hello = await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}\n${child.said}`)));
    child.on('message', ({ id, answer, failure, hello }) => {
      if (hello) return resolve(hello);
      const { resolve: done, reject: fail } = pending.get(id);
      pending.delete(id);
      if (failure) fail(new Error(failure));
      else done(answer);
    });
  });
  let last = 0;
  const ask = (name, argument) =>
    new Promise((resolve, reject) => {
      pending.set(++last, { resolve, reject });
      child.send({ id: last, name, argument });
    });
  return { ...hello, ask, stop: () => end(child) };
}

/**
 * Starts the built server as an operator does, on every core, and waits for its first 200.
 * @returns with the seconds that it `took`
 */
export async function startServer(environment) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const main = join(import.meta.dirname, '../dist/main.js');
  const from = performance.now();
  const child = launch(main, EVERY_CORE, { ...environment, PORT: String(port) }, 'ignore');
  for (;;) {
    if (!running.has(child)) throw new Error(`The server did not start: ${child.said}`);
    const response = await fetch(`${url}/health/ready`).catch(() => undefined);
    const took = (performance.now() - from) / 1000;
    await response?.text();
    if (response?.status === 200) return { url, pid: child.pid, took, stop: () => end(child) };
    await sleep(5);
  }
}

/**
 * Runs a command of the built command line as an operator does, on every core.
 * @returns the seconds that it `took`, and the MiB that it held at most
 */
export async function runCommand(parameters, environment) {
  const from = performance.now();
  const cli = join(import.meta.dirname, '../dist/cli.js');
  const child = launch(cli, EVERY_CORE, environment, 'ignore', parameters);
  let peak = 0;
  const sampling = setInterval(() => (peak = Math.max(peak, peakMemory(child.pid))), 20);
  const code = await new Promise((resolve) => {
    child.once('exit', (status) => {
      clearInterval(sampling);
      resolve(status);
    });
  });
  const took = (performance.now() - from) / 1000;
  const command = parameters.slice(0, 2).join(' ');
  if (code !== 0) throw new Error(`${command} ended with ${code}\n${child.said}`);
  return { took, peak };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function launch(file, core, environment, channel, parameters = []) {
  const command = [process.execPath, file, ...parameters];
  if (core !== undefined) command.unshift('taskset', '-c', String(core));
  const child = spawn(command[0], command.slice(1), {
    cwd: directory,
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...environment },
    stdio: ['ignore', 'pipe', 'pipe', channel],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.stdout.resume(); // the log: read, as somebody does in production, and thrown away
  child.said = '';
  child.stderr.on('data', (text) => (child.said = (child.said + text).slice(-4000)));
  return child;
}

function end(child) {
  return new Promise((resolve) => {
    if (!running.has(child)) return resolve();
    child.once('exit', resolve);
    child.kill('SIGKILL');
  });
}

/** MiB of memory that a process holds. */
export const residentMemory = (pid) => memoryOf(pid, 'VmRSS');

/** MiB that it has held at most; where the system does not tell, those that it holds now. */
const peakMemory = (pid) => memoryOf(pid, 'VmHWM');

function memoryOf(pid, name) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) / 1024;
  } catch {
    return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)])) / 1024;
  }
}

function allowedCores() {
  try {
    const list = taskset('-cp', String(process.pid)).split(':').pop().trim();
    return list.split(',').flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
  } catch {
    return undefined;
  }
}

function taskset(...parameters) {
  return execFileSync('taskset', parameters, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** For the line that says where the figures are from. */
export function machine() {
  const place = pinned
    ? `server on core ${SERVER}, load on core ${LOAD}`
    : 'server and load not on cores of their own: one core, or no taskset';
  return `Node ${process.version}, ${process.platform} ${process.arch}, ${cores?.length ?? availableParallelism()} cores; ${place}`;
}

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});
