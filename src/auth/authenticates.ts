import { type CustomDecorator, SetMetadata } from '@nestjs/common';
import { AUTHENTICATES, type Credential } from '../http/route-access.js';

/** Marks a guard class that proves who is calling, and by what. */
export const Authenticates = (credential: Credential): CustomDecorator =>
  SetMetadata(AUTHENTICATES, credential);
