import { Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { Keyring } from './keyring.js';
import { RootSecrets } from './root-secrets.js';

@Module({
  providers: [
    { provide: RootSecrets, inject: [Database, Config], useFactory: RootSecrets.open },
    Keyring,
  ],
  exports: [RootSecrets, Keyring],
})
export class KeysModule {}
