import type { FastifyRequest } from 'fastify';
import { LatchkeyError, malformed } from '../errors.js';

/** Base64 of ":", an empty id and secret: what Swagger UI sends with empty client fields. */
const EMPTY_CLIENT = /^basic +og==$/i;

/**
 * There are no OAuth clients here; whoever claims to be one is told (RFC 6749 section 5.2).
 * @throws invalid_client, invalid_request
 */
export function refuseClient({ headers, body }: FastifyRequest): void {
  const { authorization } = headers;
  if (authorization === undefined || !/^basic( |$)/i.test(authorization)) return;
  if (EMPTY_CLIENT.test(authorization)) return;
  const { client_secret: secret } = (body ?? {}) as { client_secret?: unknown };
  if (secret !== undefined && secret !== '') {
    throw malformed('A client must authenticate in one way'); // RFC 6749 section 2.3
  }
  throw new LatchkeyError('invalid_client', 'client_unknown', 'There is no such client');
}
