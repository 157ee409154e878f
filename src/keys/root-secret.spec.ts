import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { RootSecret, secretBesideDatabase } from './root-secret.js';

const SECRET = 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN';

let file: string;
beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), 'latchkey-test-')), 'secret');
});

describe('The secret beside the database', () => {
  it('is 256 random bits, for the owner alone, and stays', () => {
    const secret = secretBesideDatabase(file, true);
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(secretBesideDatabase(file, true)).toBe(secret);
    expect(secretBesideDatabase(file, false)).toBe(secret);
    expect(secretBesideDatabase(`${file}2`, true)).not.toBe(secret);
  });

  it('leaves nothing else behind', () => {
    secretBesideDatabase(file, true);
    expect(readdirSync(dirname(file))).toEqual(['secret']);
  });

  it('is not made anew when it is needed', () => {
    expect(() => secretBesideDatabase(file, false)).toThrow(/is missing.*restore the file/);
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ['empty', ''],
    ['blank', ' \n'],
    ['too short', SECRET.slice(0, 31)],
  ])('is not replaced when it is %s', (_, content) => {
    writeFileSync(file, content);
    expect(() => secretBesideDatabase(file, true)).toThrow(/is damaged: restore it/);
    expect(readFileSync(file, 'utf8')).toBe(content);
  });
});

describe('What is derived from a secret', () => {
  it('is the same at each start, another for each secret, and another for each purpose', () => {
    const bytes = (secret: string) => new RootSecret(secret).key('key encryption').export();
    expect(bytes(SECRET)).toHaveLength(32);
    expect(bytes(SECRET)).toEqual(bytes(SECRET));
    expect(bytes(SECRET)).not.toEqual(bytes(`${SECRET}x`));
    expect(bytes(SECRET).toString('hex')).not.toContain(new RootSecret(SECRET).id);
  });

  it('does not change from version to version, or stored keys could not be read', () => {
    const secret = new RootSecret(SECRET);
    expect(secret.id).toBe('bdccc218c02927bb');
    expect(secret.key('key encryption').export().toString('hex')).toBe(
      'd0230947ab4174a7fce58770b7eb8d3101b4bdbff57eda1cc2eda0bbab25bd98',
    );
  });
});
