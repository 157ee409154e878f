import { ConfigError } from '../config/config.js';
import { isDatabaseUnavailable } from '../database/unavailable.js';
import { causeOf, LatchkeyError } from '../errors.js';

/** Why a command failed, in one line for the operator; of the settings in one for each fault. */
export function describeFailure(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (isDatabaseUnavailable(error)) return `The database cannot be used: ${causeOf(error)}`;
  if (error instanceof LatchkeyError) {
    const { fields } = error.details;
    return fields === undefined ? error.description : Object.values(fields).flat().join('; ');
  }
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
}
