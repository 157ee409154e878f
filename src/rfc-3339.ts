const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

/**
 * Reads a time of RFC 3339, which has its zone: without one, `Date.parse` takes that of the machine.
 * @returns epoch milliseconds; undefined for anything else
 */
export function readTime(text: string): number | undefined {
  const [, year, month, day] = DATE_TIME.exec(text) ?? [];
  const time = Date.parse(text);
  // The thirtieth of February is the first of March to JavaScript.
  const exists = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return exists.getUTCDate() === Number(day) && !Number.isNaN(time) ? time : undefined;
}
