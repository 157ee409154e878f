import { type DynamicModule, Module } from '@nestjs/common';
import { AccountModule } from './account/account.module.js';
import { AdminModule } from './admin/admin.module.js';
import { AuditSealingModule } from './audit-seals/audit-seals.module.js';
import { AuthModule } from './auth/auth.module.js';
import { BrowserModule } from './browser/browser.module.js';
import type { Config } from './config/config.js';
import { DatabaseModule } from './database/database.module.js';
import { HealthModule } from './health/health.module.js';
import { OAuthModule } from './oauth/oauth.module.js';
import { SecureDataController } from './secure-data/secure-data.controller.js';

/** The whole application: every module is visible here. */
@Module({
  imports: [
    AuthModule,
    OAuthModule,
    BrowserModule,
    AccountModule,
    AdminModule,
    HealthModule,
    AuditSealingModule,
  ],
  // Your own resources: one controller a line.
  controllers: [SecureDataController],
})
export class AppModule {
  static for(config: Config): DynamicModule {
    return { module: AppModule, imports: [DatabaseModule.for(config)] };
  }
}
