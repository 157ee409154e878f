import { connect } from 'node:net';
import type { TestApp } from './app.js';
import type { Answer } from './answer.js';
import { whileInFlight } from './in-flight.js';

/**
 * Sends bytes as they are. Not until nothing more has come for `quiet` milliseconds is it over, so
 * that an answer too many is seen.
 * @param patience milliseconds for the first answer
 * @returns each answer that came back
 */
export function exchange(
  { url }: Pick<TestApp, 'url'>,
  request: string | Buffer,
  { quiet = 50, patience = 2000 } = {},
): Promise<Answer[]> {
  const exchanged = new Promise<Answer[]>((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request));
    let over = setTimeout(() => socket.destroy(), patience);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      clearTimeout(over);
      const answered = /HTTP\/1\.1 [2-5]/.test(Buffer.concat(chunks).toString('latin1'));
      over = setTimeout(() => socket.destroy(), answered ? quiet : patience);
    });
    // Whoever is refused early has not read the end of what was sent.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(over);
      try {
        resolve(parseAnswers(Buffer.concat(chunks).toString()));
      } catch (error) {
        reject(error);
      }
    });
  });
  return whileInFlight(() => exchanged);
}

/** @throws for what is no HTTP */
function parseAnswers(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
    if (end === -1 || Number.isNaN(status)) throw new Error(`This is no HTTP: ${rest}`);
    const headers = new Headers(lines.map((line) => line.split(/: (.*)/s).slice(0, 2)));
    const length = Number(headers.get('content-length') ?? 0);
    const body = Buffer.from(rest.slice(end + 4))
      .subarray(0, length)
      .toString();
    rest = rest.slice(end + 4 + body.length);
    if (status === 100) continue; // it only invites the body
    answers.push({ status, headers, text: body, body: body === '' ? {} : asJson(body) });
  }
  return answers;
}

function asJson(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
