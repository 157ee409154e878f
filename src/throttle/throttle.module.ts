import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { KeysModule } from '../keys/keys.module.js';
import { Throttle } from './throttle.js';

@Module({ imports: [AuditModule, KeysModule], providers: [Throttle], exports: [Throttle] })
export class ThrottleModule {}
