// The operator beside the servers, as the command line is: the domain without its doors.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { loadConfig } from '../dist/config/config.js';
import { DatabaseModule } from '../dist/database/database.module.js';
import { KeyRotation } from '../dist/keys/key-rotation.js';
import { KeysModule } from '../dist/keys/keys.module.js';
import { Account } from '../dist/users/account.js';
import { UsersModule } from '../dist/users/users.module.js';
import { settings } from './processes.mjs';

const ACTOR = { id: 'cli' };

class Domain {}
Module({ imports: [UsersModule, KeysModule] })(Domain);

export async function openOperator(databaseUrl) {
  const database = DatabaseModule.for(loadConfig(settings(databaseUrl)));
  const context = await NestFactory.createApplicationContext(
    { module: Domain, imports: [database] },
    { logger: false, abortOnError: false },
  );
  const account = context.get(Account, { strict: false });
  const rotation = context.get(KeyRotation, { strict: false });
  return {
    disable: (userId) => account.disable(userId, ACTOR),
    delete: (userId) => account.delete(userId, ACTOR),
    replaceCompromisedKey: () => rotation.replaceCompromised(ACTOR.id, false),
    close: () => context.close(),
  };
}
