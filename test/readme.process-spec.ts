import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const README = readFileSync('README.md', 'utf8');

/** What a reader of "Add your own resource" has in front of them. */
const section = README.slice(
  README.indexOf('## Add your own resource'),
  README.indexOf('## What it answers'),
);

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'latchkey-readme-'));
  for (const path of [
    'src',
    'test/support',
    'test/routes.e2e-spec.ts',
    'test/security/rights.e2e-spec.ts',
    'package.json',
    'eslint.config.js',
    '.prettierrc.json',
    'jest.config.js',
    'nest-cli.json',
    'tsconfig.json',
    'tsconfig.build.json',
  ]) {
    cpSync(path, join(copy, path), { recursive: true });
  }
  symlinkSync(join(process.cwd(), 'node_modules'), join(copy, 'node_modules'));
});
afterAll(() => rmSync(copy, { recursive: true }));

it('the resource of the README works when it is followed to the letter', () => {
  const touched: string[] = [];
  for (const [, language, path, block] of section.matchAll(
    /```(ts|diff)\n ?\/\/ (\S+)\n([^]*?)```/g,
  )) {
    const file = join(copy, path!);
    touched.push(path!);
    if (language === 'ts') {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, block!);
    } else {
      writeFileSync(file, edited(readFileSync(file, 'utf8'), block!));
    }
  }
  const run = (...command: string[]) =>
    execFileSync(process.execPath, command, { cwd: copy, encoding: 'utf8', stdio: 'pipe' });
  run('node_modules/@nestjs/cli/bin/nest.js', 'build');
  run('node_modules/typescript/bin/tsc', '--noEmit');
  const test = (...paths: string[]) =>
    run('--experimental-vm-modules', 'node_modules/jest/bin/jest.js', ...paths);
  expect(test('test/notes')).toContain('4 passed, 0 failed');
  expect(test('test/routes', 'test/security/rights')).toMatch(/^\d\d+ passed, 0 failed$/m);
  run('node_modules/prettier/bin/prettier.cjs', '--check', ...touched);
  run('node_modules/eslint/bin/eslint.js', '--max-warnings', '0', ...touched);
}, 120_000);

/** Makes the change by hand, as a reader would: finds each line in turn, adds and removes. */
function edited(source: string, diff: string): string {
  const lines = source.split('\n');
  const added = diff.split('\n').filter((line) => line.startsWith('+'));
  // It was followed in this project before.
  if (added.every((line) => lines.includes(line.slice(1)))) return source;
  let at = 0;
  for (const line of diff.trimEnd().split('\n')) {
    const text = line.slice(1);
    if (line.startsWith('+')) {
      lines.splice(at++, 0, text);
      continue;
    }
    const found = lines.indexOf(text, at);
    if (found === -1) throw new Error(`The README shows a line that is not there: ${text}`);
    at = found;
    if (line.startsWith('-')) lines.splice(at, 1);
    else at++;
  }
  return lines.join('\n');
}
