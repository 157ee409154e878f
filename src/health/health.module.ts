import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { Draining } from './draining.js';
import { HealthController } from './health.controller.js';
import { MetricsController } from './metrics.controller.js';

@Module({
  imports: [KeysModule, RevocationModule],
  controllers: [HealthController, MetricsController],
  providers: [Draining],
})
export class HealthModule {}
