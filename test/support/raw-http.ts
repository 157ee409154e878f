import { connect } from 'node:net';
import type { TestApp } from './app.js';

/** Speaks HTTP byte by byte, for what `fetch` would not send. @returns all that came back */
export function rawHttp({ url }: Pick<TestApp, 'url'>, request: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
