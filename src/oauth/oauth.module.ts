import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { UsersModule } from '../users/users.module.js';
import { IntrospectController } from './introspect.controller.js';
import { RevocationsController } from './revocations.controller.js';
import { RevokeController } from './revoke.controller.js';
import { TokenController } from './token.controller.js';
import { WellKnownController } from './well-known.controller.js';

@Module({
  imports: [UsersModule, KeysModule, RevocationModule],
  controllers: [
    TokenController,
    RevokeController,
    IntrospectController,
    RevocationsController,
    WellKnownController,
  ],
})
export class OAuthModule {}
