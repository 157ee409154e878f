import { malformed } from '../errors.js';

/** A place in a list, as clients carry it: they are to read nothing in it. */
export const toCursor = (place: string | number): string =>
  Buffer.from(String(place)).toString('base64url');

/** @throws invalid_request */
export function fromCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const place = Buffer.from(cursor, 'base64url').toString();
  if (place === '' || toCursor(place) !== cursor) throw malformed('cursor is not valid');
  return place;
}
