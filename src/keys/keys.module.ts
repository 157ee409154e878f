import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { Config } from '../config/config.js';
import { Database } from '../database/database.js';
import { KeyRotation } from './key-rotation.js';
import { KeyStore } from './key-store.js';
import { Keyring } from './keyring.js';
import { RootSecrets } from './root-secrets.js';

@Module({
  imports: [AuditModule],
  providers: [
    { provide: RootSecrets, inject: [Database, Config], useFactory: RootSecrets.open },
    KeyStore,
    Keyring,
    KeyRotation,
  ],
  exports: [RootSecrets, Keyring, KeyRotation],
})
export class KeysModule {}
