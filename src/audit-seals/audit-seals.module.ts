import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { AuditPruning } from './audit-pruning.js';
import { AuditRetention } from './audit-retention.js';
import { AuditSealer } from './audit-sealer.js';
import { AuditVerification } from './audit-verification.js';
import { SealKeys } from './seal-keys.js';

/** What looks at seals when it is asked. */
@Module({
  imports: [KeysModule],
  providers: [SealKeys, AuditVerification, AuditPruning],
  exports: [SealKeys, AuditVerification, AuditPruning],
})
export class AuditSealsModule {}

/** What a server does by itself, and the command line does not. */
@Module({ imports: [AuditSealsModule], providers: [AuditSealer, AuditRetention] })
export class AuditSealingModule {}
