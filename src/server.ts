import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { configureApp, createAdapter } from './app.setup.js';
import { type Config, loadConfig, readEnvironment } from './config/config.js';
import { causeOf, LatchkeyError } from './errors.js';
import { Draining } from './health/draining.js';
import { createLog, type Log, NestLog } from './http/log.js';
import { welcome } from './welcome.js';

/** Milliseconds that requests in flight have to finish once the process is told to stop. */
const DRAIN_FOR = 25_000;
/** Milliseconds in which the server is not ready and still takes what arrives. */
const NOTICE = 500;

async function main(): Promise<void> {
  const config = loadConfig(readEnvironment());
  const log = createLog(config.logLevel);
  endOnFault(log);
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.for(config),
    createAdapter(config),
    { bodyParser: false, logger: new NestLog(log.logger), abortOnError: false },
  );
  await configureApp(app, log.logger);
  stopOnSignal(app, log);
  await app.listen(config.port, config.host);
  announce(app, config, log);
}

function announce(app: NestFastifyApplication, config: Config, log: Log): void {
  const { port } = app.getHttpServer().address() as { port: number };
  log.logger.info({ host: config.host, port, issuer: config.issuer }, 'listening');
  process.stderr.write(welcome(config, port));
}

/**
 * What nobody caught leaves a process in a state that nobody knows. All that was answered is on the
 * disk, so it says why and ends, and whatever supervises it starts it anew.
 */
function endOnFault({ logger, flush }: Log): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (fault: unknown) => {
      logger.fatal(told(fault), event);
      flush();
      process.exit(1);
    });
  }
}

/** What was thrown, as the log has it: a value that is no error may be anything. */
const told = (fault: unknown) => ({ fault: fault instanceof Error ? fault.stack : typeof fault });

/** The first signal drains: not ready, then no new connections, and requests in flight finish. */
function stopOnSignal(app: NestFastifyApplication, { logger, flush }: Log): void {
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    logger.info({ signal }, 'draining');
    app.get(Draining, { strict: false }).begun = true;
    const overdue = setTimeout(() => end(1, 'requests were still in flight'), DRAIN_FOR);
    // What is on its way when the signal comes is answered, and a load balancer can look away.
    await sleep(NOTICE);
    // A connection that was busy when the server closed is kept alive once it is idle.
    const closing = setInterval(() => app.getHttpServer().closeIdleConnections(), 50);
    await app.close();
    clearInterval(closing);
    clearTimeout(overdue);
    end(0, 'stopped');
  };
  const end = (code: 0 | 1, message: string, fault?: unknown): void => {
    logger[code === 0 ? 'info' : 'error'](fault === undefined ? {} : told(fault), message);
    flush();
    process.exit(code);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      process.once(signal, () => end(1, 'stopped at once'));
      stop(signal).catch((fault: unknown) => end(1, 'stopping failed', fault));
    });
  }
}

main().catch((error: unknown) => {
  const text = error instanceof Error ? describe(error) : String(error);
  process.stderr.write(`Latchkey cannot start. ${text}\n`);
  process.exit(1);
});

/** One message for the operator: what is wrong, and what to do. */
function describe(error: Error): string {
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    return `${error.message}: stop what listens there, or set PORT.`;
  }
  // What a caller would be told is of no use here: what happened is.
  if (error instanceof LatchkeyError || error.message === '') return causeOf(error);
  const told = error.cause === undefined || error.message.includes(causeOf(error));
  return told ? error.message : `${error.message} (${causeOf(error)})`;
}
