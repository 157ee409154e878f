import { Module } from '@nestjs/common';
import { AuditLog } from './audit-log.js';
import { Audit } from './audit.js';

@Module({ providers: [Audit, AuditLog], exports: [Audit, AuditLog] })
export class AuditModule {}
