import { Controller, Get, Header, Headers, Inject, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../auth/public.js';
import { Config } from '../config/config.js';
import { notFound } from '../errors.js';
import { hasTag } from '../http/entity-tag.js';
import { RevocationFeed } from '../revocation/revocation-feed.js';

const JWT_TYPE = 'application/jwt';

@Public()
@Controller('revocations')
export class RevocationsController {
  constructor(
    @Inject(Config) private readonly config: Config,
    private readonly feed: RevocationFeed,
  ) {}

  /**
   * What must be refused although it has not expired, as a signed JWT of two minutes: for services
   * that check tokens themselves. 404 with `JWT_SECRET`, which no service has.
   */
  @Get()
  @Header('cache-control', 'no-cache')
  @Header('content-type', JWT_TYPE)
  @ApiProduces(JWT_TYPE)
  @ApiOkResponse({ content: { [JWT_TYPE]: { schema: { type: 'string' } } } })
  read(
    @Headers('if-none-match') known: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Buffer | undefined {
    if (this.config.jwtSecret !== undefined) throw notFound();
    const { jwt, etag } = this.feed.current();
    void reply.header('etag', etag);
    if (!hasTag(known, etag)) return jwt;
    void reply.status(304);
    return undefined;
  }
}
