// What Linux, and the server itself, tell of a running server.
import { readdirSync, readFileSync } from 'node:fs';
import { call } from './client.mjs';

/** @returns memory in MiB, open files and threads */
export function vitals({ pid }) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  return {
    rss: read('VmRSS') / 1024,
    fds: readdirSync(`/proc/${pid}/fd`).length,
    threads: read('Threads'),
  };
}

/** What `/metrics` tells, of a server with `METRICS=open`; 0 for what was never counted. */
export async function metrics(server) {
  const { text } = await call(server, '/metrics');
  return (name) =>
    Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}
