import { createRequire } from 'node:module';
import type * as Common from '@zxcvbn-ts/language-common';

/** Code points. Longer ones are refused, never cut. */
export const MAX_PASSWORD_LENGTH = 256;

/** Nearly 18,000 of these have 8 characters or more: the ones that guessing starts with. */
let common: ReadonlySet<string> | undefined;

/** Loaded when the first password is chosen: most starts and most hours need none of it. */
function commonPasswords(): ReadonlySet<string> {
  if (common === undefined) {
    const require = createRequire(import.meta.url);
    const { dictionary } = require('@zxcvbn-ts/language-common') as typeof Common;
    common = new Set(dictionary['passwords-common']);
  }
  return common;
}

/**
 * Why a password cannot be chosen, or nothing. The rules of NIST SP 800-63B-4 section 3.1.1.2:
 * length and a block list, no composition rules. The reasons name the rule, never the value.
 */
export function passwordFaults(password: string, username: string, minLength: number): string[] {
  if (!password.isWellFormed()) return ['password must be well-formed Unicode'];
  const chosen = password.normalize('NFC');
  const length = [...chosen].length;
  if (length < minLength) return [`password must be at least ${minLength} characters long`];
  if (length > MAX_PASSWORD_LENGTH) {
    return [`password must be at most ${MAX_PASSWORD_LENGTH} characters long`];
  }
  if (isCommon(chosen.toLowerCase())) return ['password must not be a common one'];
  if (isWord(folded(chosen), folded(username))) {
    return ['password must not be the username'];
  }
  return [];
}

/** However it is written: full width and capitals are no other word. */
function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/** A common password, one repeated, or a run of the keyboard's or the alphabet's order. */
function isCommon(password: string): boolean {
  const unit = repeatedUnit(password);
  return (
    [...unit].length === 1 ||
    commonPasswords().has(password) ||
    commonPasswords().has(unit) ||
    isSequence(password) ||
    isWord(password, 'latchkey')
  );
}

/** `abcabc` repeats `abc`; what repeats nothing is its own unit. */
function repeatedUnit(text: string): string {
  const period = (text + text).indexOf(text, 1);
  return text.slice(0, period);
}

const SEQUENCES = ['0123456789', 'abcdefghijklmnopqrstuvwxyz', 'qwertyuiop', 'asdfghjkl'];

/** A stretch of one of these, going round, forwards or backwards. */
function isSequence(text: string): boolean {
  const backwards = reversed(text);
  return SEQUENCES.some((sequence) => {
    const endless = sequence.repeat(Math.ceil(text.length / sequence.length) + 1);
    return endless.includes(text) || endless.includes(backwards);
  });
}

/** A word that whoever guesses tries first, as it is, backwards, or repeated. */
function isWord(password: string, word: string): boolean {
  const unit = repeatedUnit(password);
  return [word, reversed(word)].some((form) => form === password || form === unit);
}

function reversed(text: string): string {
  return [...text].reverse().join('');
}
