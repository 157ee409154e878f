export const USERNAME_RULE =
  'username must be 1 to 64 letters, digits or . _ @ + - without spaces, in one alphabet';

/** Code points. */
const MAX_LENGTH = 64;

/** Letters, marks after a letter, digits of any script, and `. _ @ + -`. */
const ALLOWED = /^(?:\p{L}\p{M}*|\p{Nd}|[._@+-])+$/u;

const LATIN = /\p{Script=Latin}/u;
const LATINS_LOOK_ALIKES = /[\p{Script=Cyrillic}\p{Script=Greek}]/u;

/**
 * The one form in which usernames are compared, everywhere: NFKC in lower case. Twins such as
 * `Admin` and full-width `admin` are one name; the database compares nothing else.
 *
 * @returns undefined for what is not a username: empty or beyond 64 code points, with other
 *   characters, or with Latin letters mixed with Cyrillic or Greek ones that look the same
 */
export function canonicalUsername(username: string): string | undefined {
  if (!username.isWellFormed() || username.length > 4 * MAX_LENGTH) return undefined;
  // Lower case can denormalize, and normalizing can bring capitals back: until it is stable.
  const canonical = fold(fold(username));
  const length = [...canonical].length;
  if (length < 1 || length > MAX_LENGTH || [...username].length > MAX_LENGTH) return undefined;
  if (!ALLOWED.test(canonical) || !ALLOWED.test(username)) return undefined;
  if (LATIN.test(canonical) && LATINS_LOOK_ALIKES.test(canonical)) return undefined;
  return canonical;
}

function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().normalize('NFKC');
}
