import { type LatchkeyError, tokenExpired, tokenInvalid, tokenRevoked } from '../errors.js';

/** What is checked of an access token, in this order. */
export const CHECKS = [
  'form',
  'header',
  'key',
  'signature',
  'claims',
  'time',
  'revocation',
] as const;
export type Check = (typeof CHECKS)[number];

/**
 * Which check a token failed, and why: the cause of the error that refuses it. It may quote the
 * token, so it is for whoever runs the service; whoever sent the token sees one text for all.
 */
export class Fault {
  constructor(
    readonly check: Check,
    readonly reason: string,
  ) {}
}

export const invalid = (check: Check, reason: string): LatchkeyError =>
  because(tokenInvalid(), check, reason);

export const expired = (reason: string): LatchkeyError => because(tokenExpired(), 'time', reason);

/** Of a key that somebody else may have, before its signature is looked at. */
export const withdrawn = (reason: string): LatchkeyError => because(tokenRevoked(), 'key', reason);

function because(error: LatchkeyError, check: Check, reason: string): LatchkeyError {
  error.cause = new Fault(check, reason);
  return error;
}

const MOST_QUOTED = 100;

/** A value out of a token, as JSON, to be shown in a reason. */
export function quote(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED)}…`;
}
