import { Module } from '@nestjs/common';
import { UsersModule } from '../users/users.module.js';
import { LoginController } from './login.controller.js';

/** Logging in for pages: the tokens are in cookies, and no script ever sees one. */
@Module({
  imports: [UsersModule],
  controllers: [LoginController],
})
export class BrowserModule {}
