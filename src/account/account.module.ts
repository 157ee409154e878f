import { Module } from '@nestjs/common';
import { UsersModule } from '../users/users.module.js';
import { ApiTokensController } from './api-tokens.controller.js';
import { LogoutController } from './logout.controller.js';
import { SessionsController } from './sessions.controller.js';
import { UsersController } from './users.controller.js';

@Module({
  imports: [UsersModule],
  controllers: [UsersController, SessionsController, ApiTokensController, LogoutController],
})
export class AccountModule {}
