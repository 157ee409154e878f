import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.js';
import { RefreshTokens } from './refresh-tokens.js';
import { SessionEnding } from './session-ending.js';
import { SessionPruning } from './session-pruning.js';
import { Sessions } from './sessions.js';

@Module({
  imports: [KeysModule],
  providers: [Sessions, SessionEnding, RefreshTokens, SessionPruning],
  exports: [Sessions, SessionEnding],
})
export class SessionsModule {}
