import { Clock } from '../clock.js';
import { readEnvironment } from '../config/config.js';
import { examineDatabase } from './doctor/database.js';
import { examineFiles } from './doctor/files.js';
import { type Finding, LEVELS } from './doctor/finding.js';
import { examineServer } from './doctor/server.js';
import { examineSettings, settle } from './doctor/settings.js';
import { type OutputOptions, print } from './output.js';

export interface DoctorOptions extends OutputOptions {
  url?: string;
}

/**
 * Looks at the settings, the files, the database and the running server, and changes none of them.
 * What is refused at start is one finding among others: all that can be looked at is.
 */
export async function examine(options: DoctorOptions): Promise<void> {
  const url = options.url?.replace(/\/$/, '');
  const environment = readEnvironment();
  const { config, faulty, findings } = settle(environment);
  if (config !== undefined) {
    findings.push(...examineSettings(config, environment, faulty));
    if (!faulty.has('DATABASE_URL')) {
      findings.push(...examineFiles(config, environment));
      findings.push(...(await examineDatabase(config, faulty, new Clock())));
    }
    findings.push(...(await examineServer(config, faulty, url)));
  }
  findings.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  const count = (level: Finding['level']) => findings.filter((one) => one.level === level).length;
  const faults = count('fault');
  const sum = `${many(faults, 'fault')}, ${many(count('warning'), 'warning')}, ${count('ok')} in order`;
  print(options, { faults, findings }, [...findings.map(describe), sum].join('\n'));
  if (faults > 0) process.exitCode = 1;
}

const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const describe = ({ level, code, what, todo }: Finding): string =>
  `${level.toUpperCase().padEnd(8)} ${code}: ${what}` +
  (todo === undefined ? '' : `\n${' '.repeat(9)}-> ${todo}`);
