import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Writable } from 'node:stream';
import { AppModule } from '../../src/app.module.js';
import { configureApp, createAdapter } from '../../src/app.setup.js';
import { Clock } from '../../src/clock.js';
import { type Config, loadConfig } from '../../src/config/config.js';
import { Database } from '../../src/database/database.js';
import { createLogger, NestLog } from '../../src/http/log.js';
import { Keyring } from '../../src/keys/keyring.js';
import { Revocations } from '../../src/revocation/revocations.js';
import { expectAlive } from './alive.js';
import { FrozenClock } from './clock.js';
import { type DatabaseKind, newDatabase } from './databases.js';
import { expectKept } from './kept.js';
import { secretsOf, watch } from './watch.js';

const ISSUER = 'http://localhost:3000';

/** Cheap enough for hundreds of logins in a test, and refused anywhere else. */
export const TEST_ENVIRONMENT = {
  NODE_ENV: 'test',
  PORT: '0',
  ISSUER,
  ARGON2_MEMORY_KIB: '64',
  ARGON2_TIME: '1',
  LOG_LEVEL: 'debug',
};

const POSTGRES_ONLY = { KEY_ENCRYPTION_SECRET: 'k7Qw0cVZr2nX5tBy8uLm3sHd6fJg9aPe1iOxRzTqEvN' };

export interface TestApp {
  url: string;
  nest: NestFastifyApplication;
  config: Config;
  clock: FrozenClock;
  db: Database;
  /** Every route as `METHOD /path`, HEAD included: what the server really has. */
  routes: () => string[];
  /** Moves the clock, and lets the application read anew what would be stale by then. */
  advance: (seconds: number) => Promise<void>;
  /** Everything that was logged, as text. */
  log: () => string;
  /** Looks that it is alive, and that it kept all secrets; then ends it. */
  close: () => Promise<void>;
}

interface Options {
  database?: DatabaseKind;
  environment?: Record<string, string>;
  /** What time it is; otherwise the real time of now. */
  clock?: FrozenClock;
  /** Further modules or controllers under test, beside the application's own. */
  module?: { imports?: never[]; controllers?: (new (...args: never[]) => unknown)[] };
  /** The test takes from it what it lives by, so that it cannot be alive at the end. */
  broken?: boolean;
}

/** The `DATABASE_URL` of an application, for the one that comes after it. */
export function urlOf({ config: { database } }: TestApp): string {
  return database.kind === 'sqlite' ? `sqlite:${database.file}` : database.url;
}

const open = new Set<TestApp>();

// Whatever a test that failed left behind would keep the run from ending.
afterAll(async () => {
  for (const app of open) await app.close();
});

/** Boots the real application on a port of its own. Only the clock is not the real one. */
export async function startApp(options: Options = {}): Promise<TestApp> {
  const { database = 'sqlite', environment = {}, module = {} } = options;
  const clock = options.clock ?? new FrozenClock();
  const config = loadConfig({
    ...TEST_ENVIRONMENT,
    DATABASE_URL: await newDatabase(database),
    ...(database === 'postgres' && POSTGRES_ONLY),
    ...environment,
  });
  const lines: string[] = [];
  const logger = createLogger(
    config.logLevel,
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    }),
  );
  const testing = await Test.createTestingModule({
    imports: [AppModule.for(config)],
    controllers: module.controllers ?? [],
  })
    .overrideProvider(Clock)
    .useValue(clock)
    .compile();
  const nest = testing.createNestApplication<NestFastifyApplication>(createAdapter(config), {
    bodyParser: false,
    logger: new NestLog(logger),
    abortOnError: false,
  });
  const routes: string[] = [];
  nest
    .getHttpAdapter()
    .getInstance()
    .addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) routes.push(`${one} ${url}`);
    });
  await configureApp(nest, logger);
  await nest.listen(0, '127.0.0.1');
  const { port } = nest.getHttpServer().address() as { port: number };
  const url = `http://127.0.0.1:${port}`;
  watch(url, { config });
  const app: TestApp = {
    url,
    nest,
    config,
    clock,
    db: nest.get(Database, { strict: false }),
    routes: () => [...routes],
    advance: async (seconds) => {
      clock.advance(seconds);
      await nest.get(Keyring, { strict: false }).reload();
      await nest.get(Revocations, { strict: false }).refresh();
    },
    log: () => lines.join(''),
    close: async () => {
      if (!open.delete(app)) return;
      try {
        if (!options.broken) await expectSoundEnd(app);
      } finally {
        await nest.close();
      }
    },
  };
  open.add(app);
  return app;
}

/** What must be true of an application whatever a test did to it. */
async function expectSoundEnd(app: TestApp): Promise<void> {
  await app.advance(0); // a clock that was moved makes stale what was not read since
  await expectAlive(app);
  await expectKept(app, secretsOf(app.url));
}
