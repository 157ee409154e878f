/*
 * How briefly a text can be told. A description is a row of pieces: single characters, words, runs,
 * stretches seen before or printed elsewhere. A piece costs minus the binary logarithm of a
 * probability, and those of all pieces that may come next add up to one at most. Therefore (Kraft's
 * inequality) no more than one in 2^n random texts over an alphabet saves n bits, and nothing that is
 * added to the dictionary can change it.
 */
import { createRequire } from 'node:module';
import type * as Common from '@zxcvbn-ts/language-common';

// Bits that say which kind of piece comes. With sum(1/length^2) = 0.395 from length 3 on, and with
// words that are masked beside those that are not, three usual steps of a run and the others:
// 2^-0.35 + 2 * 2^-4 + 0.395 * (4 * 2^-5.6 + 2^-4 + 2^-5.6) = 0.98
const CHARACTER = 0.35;
const WORD = 4;
const RUN = 5.6;
const SEEN = 4;
const PRINTED = 5.6;

/** Makes 1/rank, over all ranks, add up to one. */
const RANKING = 3.6;

const LONGEST_WORD = 24;

/** Bits that the shortest description saves over spelling a text out in its alphabet; often < 0. */
export function savedBits(text: string): number {
  const { words, likelihood } = (model ??= buildModel());
  const alphabet = ALPHABETS.find(([characters]) => characters.test(text))?.[1] ?? 256;
  const spelling = Math.log2(alphabet);
  const plain = lowerCase(text);
  const unmasked = plain.replace(/[013457@$!]/g, (mask) => MASKS[mask] ?? mask);

  /** By how many characters are told, the cheapest way to tell them. */
  const costs = new Float64Array(text.length + 1).fill(Infinity);
  costs[0] = 0;
  for (let start = 0; start < text.length; start++) {
    const told = costs[start] ?? Infinity;
    const offer = (length: number, bits: number): void => {
      costs[start + length] = Math.min(costs[start + length] ?? Infinity, told + bits);
    };
    const likely = likelihood(text[start - 1], text.charAt(start), alphabet);
    offer(1, CHARACTER - Math.log2(0.5 / alphabet + 0.5 * likely));
    for (let length = 1; length <= Math.min(LONGEST_WORD, text.length - start); length++) {
      const end = start + length;
      const rank = words.get(plain.slice(start, end));
      const masked = rank ?? words.get(unmasked.slice(start, end));
      if (masked === undefined) continue;
      const casing = alphabet > ONE_CASE ? casingBits(text.slice(start, end)) : 0;
      const masking = rank === undefined ? length : 0;
      offer(length, WORD + RANKING + Math.log2(masked) + casing + masking);
    }
    const unusualStep = Math.abs(stepAt(text, start)) < 2 ? 0 : 8;
    for (let length = 3; length <= runLength(text, start); length++) {
      offer(length, RUN + unusualStep + spelling + 2 * Math.log2(length));
    }
    const seen = lengthSeen(text, start, text.slice(0, start));
    for (let length = 3; length <= seen; length++) {
      offer(length, SEEN + Math.log2(start) + 2 * Math.log2(length));
    }
    const printed = lengthSeen(text, start, PRINTED_TEXT);
    for (let length = 3; length <= printed; length++) {
      offer(length, PRINTED + Math.log2(PRINTED_TEXT.length) + 2 * Math.log2(length));
    }
  }
  return text.length * spelling - (costs[text.length] ?? Infinity);
}

/** What generators draw from, smallest first; bytes when it is none of them. */
const ALPHABETS: readonly [RegExp, number][] = [
  [/^\d*$/, 10],
  [/^[\da-f-]*$/, 17],
  [/^[\dA-F-]*$/, 17],
  [/^[a-z]*$/, 26],
  [/^[A-Z]*$/, 26],
  [/^[a-z\d]*$/, 36],
  [/^[A-Z\d]*$/, 36],
  [/^[A-Za-z]*$/, 52],
  [/^[A-Za-z\d]*$/, 62],
  [/^[\w+/-]*=*$/, 64],
  [/^[ -~]*$/, 95],
];

/** The greatest alphabet that has letters of one case alone. */
const ONE_CASE = 36;

/** What stands for which letter in `p4$$w0rd`. */
const MASKS: Record<string, string> = {
  0: 'o',
  1: 'i',
  3: 'e',
  4: 'a',
  5: 's',
  7: 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** Lower case, a capital and all capitals are what people write. */
function casingBits(word: string): number {
  if (!/[A-Z]/.test(word)) return 1;
  return /^(?:[A-Z][^A-Z]*|[^a-z]+)$/.test(word) ? 2.5 : 3 + word.length;
}

function stepAt(text: string, at: number): number {
  return text.charCodeAt(at + 1) - text.charCodeAt(at);
}

/** How far codes go on by one step: `aaa`, `abc`, `321`, the bytes 00 11 22. */
function runLength(text: string, start: number): number {
  let last = start + 1;
  while (stepAt(text, last) === stepAt(text, start)) last++;
  return Math.min(last, text.length - 1) - start + 1;
}

/** How much of what begins here stands in the other text. */
function lengthSeen(text: string, start: number, other: string): number {
  let length = 0;
  while (start + length < text.length && other.includes(text.slice(start, start + length + 1))) {
    length++;
  }
  return length;
}

/** Of ASCII alone: other letters may change their number. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** What placeholders are made of, which the list of common passwords lacks or has far behind. */
const PLACEHOLDER_WORDS =
  'secret key token jwt your this change replace please random string auth api app test dev ' +
  'development prod production password secure very long super hmac sha256 hs256 bit bits byte ' +
  'bytes character characters env config here should must use used generate example sample ' +
  'default placeholder todo nest nestjs node express fastapi spring laravel django latchkey ' +
  'lorem ipsum dolor sit amet is to the my me a in it that with for and be of not do or at least';

/**
 * What looks random and is copied everywhere: the secret of FastAPI's tutorial, and the one sequence
 * of which a well-known website's "random keys" are cuttings.
 */
const PRINTED_TEXT = [
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  'n2r5u8x/A%D*G-KaPdSgVkYp3s6v9y$B&E(H+MbQeThWmZq4t7w!z%C*F-J@NcRf',
  'UjXn2r5u8x/A?D(G+KbPeShVmYq3t6w9z$C&F)J@McQfTjWnZr4u7x!A%D*G-JaNdRgUkXp2s5v8y/B?E(H+MbPeTh',
].join('\n');

interface Model {
  /** By word, its rank from 1. */
  words: ReadonlyMap<string, number>;
  /** The probability of a character after the one before, where people write. */
  likelihood: (before: string | undefined, character: string, alphabet: number) => number;
}

let model: Model | undefined;

function buildModel(): Model {
  // Not an import: whoever sets no secret need not wait for it.
  const require = createRequire(import.meta.url);
  const { dictionary } = require('@zxcvbn-ts/language-common') as typeof Common;
  const words = new Map<string, number>();
  for (const list of [
    PLACEHOLDER_WORDS.split(' '),
    dictionary['passwords-common'],
    dictionary['diceware-common'],
  ]) {
    for (const word of list) if (!words.has(word)) words.set(word, words.size + 1);
  }
  return { words, likelihood: likelihoodIn(words.keys()) };
}

/** 26 letters, and after them: */
const DIGIT = 26;
/** Where a word ends, too. */
const SEPARATOR = 27;
const OTHER = 28;
const CLASSES = 29;

/** How many characters of the alphabet share what is expected of their class. */
function sizeOf(characters: number, alphabet: number): number {
  if (characters === DIGIT) return 10;
  if (characters === SEPARATOR) return 4;
  if (characters === OTHER) return alphabet > 95 ? 190 : 29;
  return 1;
}

/** By comparing codes: this is done for every letter of every word, before anything can start. */
function classOf(character: string | undefined): number {
  if (character === undefined) return SEPARATOR;
  const code = character.charCodeAt(0);
  const letter = (code | 0x20) - 97;
  if (code >= 65 && code < 128 && letter >= 0 && letter < 26) return letter;
  if (code >= 48 && code <= 57) return DIGIT;
  return '-_ .'.includes(character) ? SEPARATOR : OTHER;
}

function likelihoodIn(words: Iterable<string>): Model['likelihood'] {
  const pairs = new Float64Array(CLASSES * CLASSES).fill(1);
  const totals = new Float64Array(CLASSES).fill(CLASSES);
  for (const word of words) {
    let from = SEPARATOR;
    for (let at = 0; at <= word.length; at++) {
      const to = classOf(word[at]);
      pairs[from * CLASSES + to]! += 1;
      totals[from]! += 1;
      from = to;
    }
  }
  return (before, character, alphabet) => {
    const [from, to] = [classOf(before), classOf(character)];
    const ofClass = (pairs[from * CLASSES + to] ?? 0) / (totals[from] ?? 1);
    const pair = ofClass / sizeOf(to, alphabet);
    if (alphabet <= ONE_CASE || to >= DIGIT) return pair;
    if (from >= DIGIT) return pair * 0.5;
    return pair * (isCapital(before) === isCapital(character) ? 0.85 : 0.15);
  };
}

function isCapital(character: string | undefined): boolean {
  return character !== undefined && /[A-Z]/.test(character);
}
