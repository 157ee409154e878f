import { createRequire } from 'node:module';
import type * as Core from '@zxcvbn-ts/core';
import type * as Common from '@zxcvbn-ts/language-common';
import { savedBits } from './description-length.js';
import { isPublished } from './published-secrets.js';

const HOW_TO =
  'make one with `openssl rand -base64 32` or ' +
  "`node -e \"console.log(require('crypto').randomBytes(32).toString('base64url'))\"`";

/**
 * Why a secret must not be used, in words that follow its name, or nothing. Never shows the value.
 *
 * Whoever holds one token can try secrets against it offline, as fast as HMAC runs, and begins with
 * what tutorials print and people type. What is random and was not published passes, whatever made it.
 */
export function secretFault(secret: string): string | undefined {
  // RFC 7518 section 3.2: a key of HS256 is no shorter than its hash.
  if (Buffer.byteLength(secret) < 32) return `must be at least 32 bytes long: ${HOW_TO}`;
  // Judging takes time by the square of the length, and more characters would decide nothing.
  const text = secret.trim().slice(0, 128);
  if (isGuessable(text))
    return `must be random, and this one is a pattern or a phrase, which can be guessed: ${HOW_TO}`;
  if (isPublished(secret.trim()))
    return `must be yours alone, and this one was published: ${HOW_TO}`;
  return undefined;
}

function isGuessable(text: string): boolean {
  return (
    isTyped(text) ||
    [text, reversed(text), ...decoded(text)].some(isRegular) ||
    guessesLog10(text) < MIN_GUESSES_LOG10
  );
}

/** No generator draws from letters beyond Latin-1, and no dictionary here has their words. */
function isTyped(text: string): boolean {
  return /(?=\p{L})[^\0-\xff]/u.test(text);
}

function reversed(text: string): string {
  return [...text].reverse().join('');
}

/** The bytes that a text encodes, one character each: a phrase in base64 is still a phrase. */
function decoded(text: string): string[] {
  const hex = /^(?:0x)?((?:[\da-f]{2})+)$/i.exec(text)?.[1];
  if (hex !== undefined) return [Buffer.from(hex, 'hex').toString('latin1')];
  if (!/^[\w+/-]+={0,2}$/.test(text)) return [];
  return [Buffer.from(text, 'base64').toString('latin1')];
}

/** One in 2^20 random secrets may save as much, by the bound; in practice far fewer, if any, do. */
const SAVED_BITS = 20;

/** Characters that are enough by themselves. */
const PART = 32;

/**
 * Whether a text is told in much fewer bits than it takes to spell it out. One part that is not
 * suffices: `myapp-production-` before a random secret does no harm.
 */
function isRegular(text: string): boolean {
  if (savedBits(text) < SAVED_BITS) return false;
  for (let start = text.length - PART; start >= 0; start -= 4) {
    if (savedBits(text.slice(start, start + PART)) < 0) return false;
  }
  return true;
}

/** 32 random digits, the poorest secret that anybody makes, took 10^23 or more; hexadecimal, 10^27. */
const MIN_GUESSES_LOG10 = 20;

/** The estimator knows what else people do: walks over the keyboard, dates, repeated blocks. */
function guessesLog10(text: string): number {
  return (estimator ??= buildEstimator()).check(text).guessesLog10;
}

let estimator: Core.ZxcvbnFactory | undefined;

/** Loaded when a secret is set, and then only: it takes longer than all other settings. */
function buildEstimator(): Core.ZxcvbnFactory {
  const require = createRequire(import.meta.url);
  const { ZxcvbnFactory } = require('@zxcvbn-ts/core') as typeof Core;
  const { adjacencyGraphs, dictionary } = require('@zxcvbn-ts/language-common') as typeof Common;
  return new ZxcvbnFactory({
    dictionary: { 'passwords-common': dictionary['passwords-common'] },
    graphs: adjacencyGraphs,
    // The default of 100 spellings takes most of a second for a random text.
    l33tMaxSubstitutions: 3,
  });
}
