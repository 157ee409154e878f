/**
 * JSON as RFC 8259 asks senders to write it: UTF-8 without a byte order mark, no member twice
 * (section 4), and not nested beyond what any message here needs. `JSON.parse` alone keeps the
 * last of two members, so that two readers of one text could see two different requests. A member
 * `__proto__` is nothing that any message has, and sets a prototype wherever it is copied.
 */
const MAX_DEPTH = 32;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text is valid, but there is more in it than was allowed. */
export class TooManyValues extends SyntaxError {}

/**
 * @param most members and elements in all, nested ones included
 * @throws SyntaxError (or the decoder's TypeError) when the bytes are not such a text. Its
 *   message may quote the input: never pass it on.
 */
export function parseStrictJson(bytes: Uint8Array, most = Infinity): unknown {
  const text = utf8.decode(bytes);
  const value: unknown = JSON.parse(text);
  checkStructure(text, most);
  return value;
}

/** Walks a text that is known to be valid JSON, with one set of member names an open object. */
function checkStructure(text: string, most: number): void {
  let values = 0;
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (isBeforeValue(character) && ++values > most) throw new TooManyValues();
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : undefined);
      if (open.length > MAX_DEPTH) throw new SyntaxError('nested too deeply');
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      const names = open.at(-1);
      if (names !== undefined && isMemberName(text, end)) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name) || name === '__proto__') throw new SyntaxError('refused member');
        names.add(name);
      }
      at = end - 1;
    }
  }
}

/** Of an object or a list without values too: to read it costs as much as one. */
const isBeforeValue = (character: string | undefined): boolean =>
  character === '{' || character === '[' || character === ',';

/** The index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function isMemberName(text: string, afterString: number): boolean {
  let at = afterString;
  while (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r') at++;
  return text[at] === ':';
}
