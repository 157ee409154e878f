import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { LocalAuthGuard } from '../auth/local-auth.guard.js';
import { Config } from '../config/config.js';
import { LatchkeyError, malformed } from '../errors.js';
import { parseTokenRequest, unsupportedGrant } from './token-request.js';

/** Base64 of ":", an empty id and secret: what Swagger UI sends with empty client fields. */
const EMPTY_CLIENT = /^basic +og==$/i;

/** Turns the body into a token request, then asks for what its grant needs. */
@Injectable()
export class TokenRequestGuard extends LocalAuthGuard {
  constructor(@Inject(Config) private readonly config: Config) {
    super();
  }

  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    refuseClient(request);
    const tokenRequest = parseTokenRequest(request.body);
    if (!this.config.passwordGrant) throw unsupportedGrant();
    request.body = tokenRequest;
    return super.canActivate(context);
  }
}

/** There are no OAuth clients here; whoever claims to be one is told (RFC 6749 section 5.2). */
function refuseClient({ headers, body }: FastifyRequest): void {
  const { authorization } = headers;
  if (authorization === undefined || !/^basic( |$)/i.test(authorization)) return;
  if (EMPTY_CLIENT.test(authorization)) return;
  const { client_secret: secret } = (body ?? {}) as { client_secret?: unknown };
  if (secret !== undefined && secret !== '') {
    throw malformed('A client must authenticate in one way'); // RFC 6749 section 2.3
  }
  throw new LatchkeyError('invalid_client', 'client_unknown', 'There is no such client');
}
