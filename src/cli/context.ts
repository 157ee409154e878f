import { type DynamicModule, type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuditSealsModule } from '../audit-seals/audit-seals.module.js';
import { loadConfig, readEnvironment } from '../config/config.js';
import { DatabaseModule } from '../database/database.module.js';
import { KeysModule } from '../keys/keys.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';

/** The domain without its doors: no routes, no guards, no passport. */
@Module({ imports: [UsersModule, KeysModule, TokensModule, AuditSealsModule] })
class CliModule {}

/** Finds what a command needs. */
export type Domain = Pick<INestApplicationContext, 'get'>;

/**
 * Runs a command with the settings, the database and the domain that the server has, beside a
 * running one or without.
 * @throws ConfigError; what the database or the keys have against it
 */
export async function inDomain<T>(work: (domain: Domain) => Promise<T>): Promise<T> {
  const module: DynamicModule = {
    module: CliModule,
    imports: [DatabaseModule.for(loadConfig(readEnvironment()))],
  };
  // No log: what goes wrong is what the command fails with.
  const context = await NestFactory.createApplicationContext(module, {
    logger: false,
    abortOnError: false,
  });
  try {
    return await work({ get: (token) => context.get(token, { strict: false }) });
  } finally {
    await context.close();
  }
}
