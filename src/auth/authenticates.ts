import { type CustomDecorator, SetMetadata } from '@nestjs/common';
import { AUTHENTICATES, type Proof } from '../http/route-access.js';

/** Marks a guard class that proves who is calling, and by what. */
export const Authenticates = (proof: Proof): CustomDecorator => SetMetadata(AUTHENTICATES, proof);
