import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import ts from 'typescript';
import { type Answer, bearer, send } from '../support/client.js';
import { type RunningProcess, spawnCommand, spawnNode } from '../support/process.js';

export const LANGUAGES = ['typescript', 'python'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The service that each kit is in, and another one. */
export const AUDIENCE = 'https://orders.example.com';
export const OTHER_AUDIENCE = 'https://invoices.example.com';

/** Debian's: its packages are not in a Python from anywhere else. */
const PYTHON = process.env['PYTHON'] ?? '/usr/bin/python3';

export interface KitService extends Pick<RunningProcess, 'kill' | 'stderr'> {
  url: string;
  /** What it answers to somebody with this token. */
  answer: (token: string) => Promise<Answer<{ user?: string }>>;
  /** The status alone. */
  status: (token: string) => Promise<number>;
}

/** Starts the example service of a language as a process, and waits until it answers. */
export async function startKit(language: Language, issuer: string): Promise<KitService> {
  const port = await freePort();
  const environment = { ISSUER: issuer, AUDIENCE, PORT: String(port) };
  const service =
    language === 'typescript'
      ? spawnNode(compiledServer(), environment)
      : spawnCommand(PYTHON, 'examples/python/app.py', {
          ...environment,
          PYTHONDONTWRITEBYTECODE: '1',
        });
  const url = `http://127.0.0.1:${port}`;
  const ended = service.exit.then(() => true);
  while (!(await isListening(url))) {
    if (await Promise.race([ended, sleep(100, false)])) {
      throw new Error(`The ${language} service did not start: ${service.stderr()}`);
    }
  }
  const answer = (token: string) => send<{ user?: string }>({ url }, '/orders', bearer(token));
  return { ...service, url, answer, status: async (token) => (await answer(token)).status };
}

/** As `tsc` would: the types are checked by the linter. */
function compiledServer(): string {
  const directory = '.cache/examples';
  mkdirSync(directory, { recursive: true });
  for (const name of ['verify', 'server']) {
    const source = readFileSync(`examples/typescript/${name}.ts`, 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    writeFileSync(`${directory}/${name}.js`, outputText);
  }
  return `${directory}/server.js`;
}

const isListening = (url: string): Promise<boolean> =>
  fetch(url).then(
    () => true,
    () => false,
  );

/** A port that nobody listens on: an issuer's address has to be known before it starts. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
