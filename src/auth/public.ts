import { type CustomDecorator, SetMetadata } from '@nestjs/common';
import { PUBLIC } from '../http/route-access.js';

/** Anyone may call this handler. Without it and without a guard the program does not start. */
export const Public = (): CustomDecorator => SetMetadata(PUBLIC, true);
