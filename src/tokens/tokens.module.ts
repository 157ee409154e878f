import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { KeysModule } from '../keys/keys.module.js';
import { RevocationModule } from '../revocation/revocation.module.js';
import { AccessTokens } from './access-tokens.js';
import { TokenExplainer } from './explain.js';
import { TokenInspection } from './inspection.js';

@Module({
  // Keys are given with each call: they change while the program runs.
  imports: [JwtModule.register({}), KeysModule, RevocationModule],
  providers: [AccessTokens, TokenExplainer, TokenInspection],
  exports: [AccessTokens, TokenExplainer, TokenInspection],
})
export class TokensModule {}
