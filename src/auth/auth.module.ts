import { Global, Module, type OnApplicationShutdown } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { PassportModule } from '@nestjs/passport';
import { ApiTokensModule } from '../api-tokens/api-tokens.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { UsersModule } from '../users/users.module.js';
import { Cookies } from './cookies.js';
import { GuardCheck } from './guard-check.js';
import { JwtStrategy } from './jwt.strategy.js';
import { LocalStrategy } from './local.strategy.js';
import { releasePassport } from './passport-registry.js';
import { PresentedToken } from './presented-token.js';
import { SameOrigin } from './same-origin.js';

/**
 * The door. Global, so that any controller can say `@UseGuards(JwtAuthGuard)`: Nest resolves what
 * a guard needs in the module that uses it.
 */
@Global()
@Module({
  imports: [
    PassportModule.register({ session: false }),
    DiscoveryModule,
    UsersModule,
    TokensModule,
    ApiTokensModule,
  ],
  providers: [LocalStrategy, JwtStrategy, GuardCheck, PresentedToken, Cookies, SameOrigin],
  exports: [TokensModule, ApiTokensModule, PresentedToken, Cookies, SameOrigin],
})
export class AuthModule implements OnApplicationShutdown {
  onApplicationShutdown(): void {
    releasePassport();
  }
}
