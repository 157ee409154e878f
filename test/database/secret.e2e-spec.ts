import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnNode } from '../support/process.js';

describe('The secret beside the database', () => {
  it('is one, and whole, for all processes that make it at the same moment', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-test-'));
    const AT = String(Date.now() + 1_000);
    const processes = Array.from({ length: 3 }, () =>
      spawnNode('test/support/make-secrets.js', { FOLDER: folder, AT }),
    );
    for (const { exit, stderr } of processes) {
      expect([await exit, stderr()]).toEqual([{ code: 0, signal: null }, '']);
    }
    const [first, second, third] = processes.map(({ stdout }) => stdout());
    expect(first).toMatch(/^([\w-]{43}\n){50}$/);
    expect([second, third]).toEqual([first, first]);
    expect(readdirSync(folder)).toHaveLength(50);
  });
});
