import { Module } from '@nestjs/common';
import { PasswordsModule } from '../passwords/passwords.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { Account } from './account.js';
import { Login } from './login.js';
import { Users } from './users.js';

@Module({
  imports: [PasswordsModule, SessionsModule, TokensModule, RevocationModule],
  providers: [Users, Login, Account],
  exports: [Users, Login, Account],
})
export class UsersModule {}
