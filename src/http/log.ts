import type { LoggerService, LogLevel } from '@nestjs/common';
import { type DestinationStream, type Logger, pino } from 'pino';
import { LineWriter } from './line-writer.js';

/** Fields that never reach the log, should anybody log a request or a form. */
const SECRET = ['password', 'token', 'access_token', 'refresh_token', 'authorization', 'cookie'];

export interface Log {
  logger: Logger;
  /** Writes out what waits; call it before the process ends. */
  flush: () => void;
}

/** JSON lines on standard output. */
export function createLog(level: string): Log {
  const lines = new LineWriter(1);
  return { logger: createLogger(level, lines), flush: () => lines.flushSync() };
}

export function createLogger(level: string, stream: DestinationStream): Logger {
  return pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: SECRET.flatMap((name) => [name, `*.${name}`]),
    },
    stream,
  );
}

/** What Nest tells of its own start: every route, every module. */
const OF_NEST = /^(Nest|Instance|Router|Routes)/;

/** Nest's logger, on the same lines. */
export class NestLog implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log = (message: unknown, ...rest: unknown[]): void =>
    this.#write(OF_NEST.test(String(rest.at(-1))) ? 'debug' : 'info', message, rest);
  debug = (message: unknown, ...rest: unknown[]): void => this.#write('debug', message, rest);
  verbose = (message: unknown, ...rest: unknown[]): void => this.#write('trace', message, rest);
  warn = (message: unknown, ...rest: unknown[]): void => this.#write('warn', message, rest);
  error = (message: unknown, ...rest: unknown[]): void => this.#write('error', message, rest);
  fatal = (message: unknown, ...rest: unknown[]): void => this.#write('fatal', message, rest);
  setLogLevels(_levels: LogLevel[]): void {}

  /** Nest calls with (message, stack?, context). */
  #write(
    level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal',
    message: unknown,
    rest: unknown[],
  ) {
    if (rest.at(-1) === 'ExceptionHandler') return; // a start that failed: main() tells why
    const context = rest.at(-1);
    const stack = rest.length > 1 ? rest[0] : undefined;
    this.logger[level](
      { context, stack },
      message instanceof Error ? message.stack : String(message),
    );
  }
}
