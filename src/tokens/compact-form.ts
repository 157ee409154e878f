import { parseStrictJson } from '../strict-json.js';

/** Characters: more than any token of ours, less than a header may have. */
export const MAX_TOKEN_LENGTH = 4096;

/**
 * Whether a text is a JWS in compact form (RFC 7515 section 7.1): three segments of base64url,
 * each in its one canonical encoding. Decoders overlook padding, foreign characters and unused
 * bits, and a token that can be written in two ways has two names.
 */
export function isCompactJws(text: string): boolean {
  if (text.length > MAX_TOKEN_LENGTH) return false;
  const segments = text.split('.');
  return segments.length === 3 && segments.every(isCanonicalBase64url);
}

function isCanonicalBase64url(segment: string): boolean {
  return segment !== '' && Buffer.from(segment, 'base64url').toString('base64url') === segment;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** The JSON object in the header or the payload; undefined for anything else. */
export function decodeSegment(token: string, index: 0 | 1): JsonObject | undefined {
  try {
    const value = parseStrictJson(Buffer.from(token.split('.')[index] ?? '', 'base64url'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}
