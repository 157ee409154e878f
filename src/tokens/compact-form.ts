import { parseStrictJson } from '../strict-json.js';

/** Characters: more than any token of ours, less than a header may have. */
export const MAX_TOKEN_LENGTH = 4096;

const SEGMENTS = ['header', 'payload', 'signature'] as const;

/**
 * Why a text is not a JWS in compact form (RFC 7515 section 7.1), or nothing: three segments of
 * base64url, each in its one canonical encoding. Decoders overlook padding, foreign characters
 * and unused bits, and a token that can be written in two ways has two names.
 */
export function formFault(text: string): string | undefined {
  if (text.length > MAX_TOKEN_LENGTH) {
    return `it has ${text.length} characters, and ${MAX_TOKEN_LENGTH} are the most`;
  }
  const segments = text.split('.');
  if (segments.length !== SEGMENTS.length) {
    return `it has ${segments.length} segments, where a token has a header, a payload and a signature`;
  }
  const faulty = segments.findIndex((segment) => !isCanonicalBase64url(segment));
  return faulty === -1 ? undefined : `its ${SEGMENTS[faulty]} is not base64url`;
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
