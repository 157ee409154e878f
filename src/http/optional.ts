import { ValidateIf } from 'class-validator';

/** May be left out. Unlike `@IsOptional()`, which lets `null` through whatever else is asked for. */
export const Optional = (): PropertyDecorator => ValidateIf((_, value) => value !== undefined);
