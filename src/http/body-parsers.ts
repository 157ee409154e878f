import { Busboy } from '@fastify/busboy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { malformed } from '../errors.js';
import { parseStrictJson, TooManyValues } from '../strict-json.js';
import { FORM_TYPE, JSON_TYPE, MULTIPART_TYPE } from './media-type.js';

/** Bytes. */
export const BODY_LIMIT = 16_384;
/** Parameters in one form. */
const MAX_FIELDS = 32;
/** Members and elements in one JSON text: each that is not as it should be costs an error. */
const MAX_VALUES = 256;

type Fields = Record<string, string>;

/**
 * Puts these parsers in place of Fastify's, which accept what must be refused (a member or a
 * parameter twice, other charsets, ill-formed UTF-8, `text/plain`) and quote the body in errors.
 */
export function useBodyParsers(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  const add = (type: string, parse: (body: Buffer, request: FastifyRequest) => unknown) =>
    fastify.addContentTypeParser(type, { parseAs: 'buffer' }, (request, body, done) => {
      Promise.resolve(body as Buffer)
        .then((bytes) => parse(bytes, request))
        .then((value) => done(null, value))
        .catch((error: Error) => done(error));
    });
  add(JSON_TYPE, parseJson);
  add(FORM_TYPE, parseForm);
  add(MULTIPART_TYPE, (body, request) => parseMultipart(body, request.headers['content-type']!));
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return parseStrictJson(body, MAX_VALUES);
  } catch (error) {
    if (error instanceof TooManyValues) throw malformed('There are too many values');
    // The parser's own message would quote the body, and with it a password.
    throw malformed('The body is not valid JSON');
  }
}

/** `application/x-www-form-urlencoded`, read as the URL standard has it, once, in UTF-8. */
function parseForm(body: Buffer): Fields {
  const text = decode(body);
  const fields = new FieldSet();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const [name = '', value = ''] = [...splitOnce(pair)].map(decodeComponent);
    fields.add(name, value);
  }
  return fields.values;
}

function* splitOnce(pair: string): Generator<string> {
  const at = pair.indexOf('=');
  yield at === -1 ? pair : pair.slice(0, at);
  yield at === -1 ? '' : pair.slice(at + 1);
}

function decodeComponent(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw malformed('The body is not a valid form');
  }
}

/**
 * A part's header that names another charset, by which Busboy would decode the part. Without `m`:
 * with it, `^` matches after each U+2028 in a line, and the line is read to its end from each.
 */
const OTHER_CHARSET =
  /(?:^|[\r\n])content-type:(?:[^\r\n]|\r?\n[ \t])*;\s*charset(?!\s*=\s*"?utf-?8"?\s*(?:[;\r\n]|$))/i;

/** What `curl -F` sends (RFC 7578). Files are refused. */
async function parseMultipart(body: Buffer, contentType: string): Promise<Fields> {
  // Busboy replaces what is no UTF-8, and two passwords would be one.
  if (OTHER_CHARSET.test(decode(body))) throw malformed('The body is not UTF-8');
  const fields = new FieldSet();
  await new Promise<void>((resolve, reject) => {
    const fail = () => reject(malformed('The body is not a valid multipart form'));
    try {
      const busboy = new Busboy({
        headers: { 'content-type': contentType },
        limits: { files: 0, fields: MAX_FIELDS + 1 },
      });
      busboy.on('field', (name, value, nameTruncated, valueTruncated) => {
        if (nameTruncated || valueTruncated) return fail();
        try {
          fields.add(name, value);
        } catch (error) {
          reject(error);
        }
      });
      busboy.on('filesLimit', () => reject(malformed('Files are not accepted')));
      busboy.on('error', fail);
      busboy.on('finish', resolve);
      busboy.end(body);
    } catch {
      fail();
    }
  });
  return fields.values;
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw malformed('The body is not UTF-8');
  }
}

/** Parameters by name; one that is there twice is refused (RFC 6749 section 3.2). */
class FieldSet {
  readonly values = Object.create(null) as Fields;
  #count = 0;

  add(name: string, value: string): void {
    if (name in this.values) throw malformed('A parameter is there twice');
    if (++this.#count > MAX_FIELDS) throw malformed('There are too many parameters');
    this.values[name] = value;
  }
}
