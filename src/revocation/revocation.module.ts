import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { KeysModule } from '../keys/keys.module.js';
import { RevocationFeed } from './revocation-feed.js';
import { Revocations } from './revocations.js';

@Module({
  imports: [JwtModule.register({}), KeysModule],
  providers: [Revocations, RevocationFeed],
  exports: [Revocations, RevocationFeed],
})
export class RevocationModule {}
