export interface OutputOptions {
  json?: true;
}

/** Prints what a command has to say: as JSON where that was asked for. */
export function print({ json }: OutputOptions, value: unknown, text: string): void {
  process.stdout.write(`${printableLines(json ? JSON.stringify(value, null, 2) : text)}\n`);
}

export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/**
 * Text that does nothing to a terminal. Names and claims may come from somebody who wants that:
 * what moves the cursor, breaks the line or turns the direction is shown as JSON escapes it.
 */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('') // into UTF-16 units, as JSON has them
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Rows under a head, in columns. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) =>
    lines.reduce((widest, line) => Math.max(widest, line[column]!.length), 0),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** RFC 3339, UTC. @param time epoch milliseconds */
export const utc = (time: number): string => new Date(time).toISOString();
