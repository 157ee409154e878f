import { Module } from '@nestjs/common';
import { RevocationModule } from '../revocation/revocation.module.js';
import { ApiTokens } from './api-tokens.js';
import { ApiTokenPruning } from './api-token-pruning.js';
import { ApiTokenVerification } from './api-token-verification.js';
import { LastUses } from './last-uses.js';

@Module({
  imports: [RevocationModule],
  providers: [ApiTokens, ApiTokenVerification, ApiTokenPruning, LastUses],
  exports: [ApiTokens, ApiTokenVerification],
})
export class ApiTokensModule {}
