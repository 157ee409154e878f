import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { UsersModule } from '../users/users.module.js';
import { TokenController } from './token.controller.js';
import { WellKnownController } from './well-known.controller.js';

@Module({
  imports: [UsersModule, KeysModule],
  controllers: [TokenController, WellKnownController],
})
export class OAuthModule {}
