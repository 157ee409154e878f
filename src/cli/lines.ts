export interface Line {
  /** From 1. */
  number: number;
  /** Without the line break; undefined when it is longer than it may be. */
  bytes: Buffer | undefined;
  /** Of the whole, up to the end of this line. */
  read: number;
}

const LINE_FEED = 0x0a;

/** The lines of a stream, of which no more is kept than one line of the longest that may be. */
export async function* linesOf(stream: AsyncIterable<Buffer>, most: number): AsyncGenerator<Line> {
  let number = 0;
  let read = 0;
  let begun: Buffer[] = [];
  let length = 0;
  const append = (piece: Buffer): void => {
    length += piece.length;
    read += piece.length;
    if (length > most) begun = [];
    else if (piece.length > 0) begun.push(piece);
  };
  const take = (): Line => {
    const bytes = length > most ? undefined : Buffer.concat(begun);
    begun = [];
    length = 0;
    return { number: ++number, bytes, read };
  };
  for await (const chunk of stream) {
    let from = 0;
    for (let end; (end = chunk.indexOf(LINE_FEED, from)) !== -1; from = end + 1) {
      append(chunk.subarray(from, end));
      read++;
      yield take();
    }
    append(chunk.subarray(from));
  }
  if (length > 0) yield take();
}
