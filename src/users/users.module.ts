import { Module } from '@nestjs/common';
import { ApiTokensModule } from '../api-tokens/api-tokens.module.js';
import { AuditModule } from '../audit/audit.module.js';
import { PasswordsModule } from '../passwords/passwords.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { ThrottleModule } from '../throttle/throttle.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { AccessTokenRevocation } from './access-token-revocation.js';
import { Account } from './account.js';
import { Credentials } from './credentials.js';
import { UserExport } from './export.js';
import { UserImport } from './import.js';
import { Introspection } from './introspection.js';
import { Login } from './login.js';
import { PasswordChange } from './password-change.js';
import { PasswordReset } from './password-reset.js';
import { Refreshing } from './refreshing.js';
import { Registration } from './registration.js';
import { TokenRevocation } from './token-revocation.js';
import { UserApiTokens } from './user-api-tokens.js';
import { UserSessions } from './user-sessions.js';
import { Users } from './users.js';

const providers = [
  Users,
  Registration,
  Credentials,
  Login,
  Refreshing,
  PasswordChange,
  PasswordReset,
  Account,
  UserSessions,
  UserApiTokens,
  TokenRevocation,
  AccessTokenRevocation,
  Introspection,
  UserImport,
  UserExport,
];

@Module({
  imports: [
    ApiTokensModule,
    AuditModule,
    PasswordsModule,
    RevocationModule,
    SessionsModule,
    ThrottleModule,
    TokensModule,
  ],
  providers,
  exports: [...providers, SessionsModule, ApiTokensModule],
})
export class UsersModule {}
