import { existsSync, type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../../config/config.js';
import { fault, type Finding, ok, warning } from './finding.js';
import type { Environment } from './settings.js';

const OTHERS = 0o007;
const GROUP = 0o070;

/** Who else on this machine can read what must be kept. Windows has no such modes. */
export function examineFiles(config: Config, environment: Environment): Finding[] {
  if (process.platform === 'win32') return [];
  const findings = paths(config, environment)
    .filter(existsSync)
    .flatMap((path) => examine(path, statSync(path)));
  return findings.length > 0 ? findings : [ok('file_modes', 'no file is open to other users')];
}

function paths({ database }: Config, environment: Environment): string[] {
  const ofDatabase =
    database.kind === 'postgres'
      ? []
      : [
          database.directory,
          database.file,
          `${database.file}-wal`,
          `${database.file}-shm`,
          database.secretFile,
        ];
  return environment['NODE_ENV'] === 'production' ? ofDatabase : [...ofDatabase, resolve('.env')];
}

function examine(path: string, stats: Stats): Finding[] {
  const { mode } = stats;
  // To list a directory shows nothing that matters; to replace what is in it does.
  const [others, group] = stats.isDirectory() ? [0o002, 0o020] : [OTHERS, GROUP];
  if ((mode & (others | group)) === 0) return [];
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  const todo = `chmod ${stats.isDirectory() ? '0700' : '0600'} ${path}`;
  return (mode & others) === 0
    ? [warning('file_modes', `${path} has the mode ${shown}: its group has access`, todo)]
    : [fault('file_modes', `${path} has the mode ${shown}: every user has access`, todo)];
}
