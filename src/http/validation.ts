import { ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type FieldErrors, invalidFields } from '../errors.js';

/** Bodies are exactly their DTO: a member that it does not name is an error, not ignored. */
export function validationPipe(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    forbidNonWhitelisted: true,
    stopAtFirstError: false,
    exceptionFactory: (errors) => invalidFields(fieldErrors(errors)),
  });
}

/** The rules that failed, by field; `address.street` for a nested one. Values are not shown. */
function fieldErrors(errors: readonly ValidationError[], prefix = ''): FieldErrors {
  const fields: FieldErrors = {};
  for (const { property, constraints, children } of errors) {
    // A name that is not a plain one came from the caller, and is not repeated.
    const name = /^\w{1,64}$/.test(property) ? prefix + property : `${prefix}(other)`;
    const messages =
      constraints && 'whitelistValidation' in constraints
        ? ['is not a known field']
        : Object.values(constraints ?? {});
    if (messages.length > 0) fields[name] = messages;
    Object.assign(fields, fieldErrors(children ?? [], `${name}.`));
  }
  return fields;
}
