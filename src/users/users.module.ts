import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { PasswordsModule } from '../passwords/passwords.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { ThrottleModule } from '../throttle/throttle.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { Account } from './account.js';
import { Credentials } from './credentials.js';
import { Login } from './login.js';
import { PasswordChange } from './password-change.js';
import { Registration } from './registration.js';
import { Users } from './users.js';

const providers = [Users, Registration, Credentials, Login, PasswordChange, Account];

@Module({
  imports: [
    AuditModule,
    PasswordsModule,
    RevocationModule,
    SessionsModule,
    ThrottleModule,
    TokensModule,
  ],
  providers,
  exports: providers,
})
export class UsersModule {}
