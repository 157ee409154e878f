import { Module } from '@nestjs/common';
import { Keyring } from './keyring.js';

@Module({ providers: [Keyring], exports: [Keyring] })
export class KeysModule {}
