import { Controller, Header, HttpCode, Ip, Post, Req } from '@nestjs/common';
import { ApiBody } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Public } from '../auth/public.js';
import { ConsumesForms } from '../http/media-type.js';
import { tokenParameter } from '../http/parameters.js';
import { TokenRevocation } from '../users/token-revocation.js';
import { refuseClient } from './client-check.js';
import { RevokeDto } from './revoke.dto.js';

/** The revocation endpoint (RFC 7009). */
@Public()
@Controller('revoke')
export class RevokeController {
  constructor(private readonly revocation: TokenRevocation) {}

  /**
   * Revoke an access token, end the session of a refresh token, or end an API token. 200 also for a token that is
   * unknown or over: it cannot be used, as was wanted (RFC 7009 section 2.2).
   */
  @Post()
  @HttpCode(200)
  @Header('pragma', 'no-cache')
  @ConsumesForms()
  @ApiBody({ type: RevokeDto })
  async revoke(
    @Req() request: FastifyRequest,
    @Ip() address: string,
  ): Promise<Record<string, never>> {
    refuseClient(request);
    // The hint is for servers that cannot see which kind a token is.
    await this.revocation.revoke(tokenParameter(request.body), address);
    return {};
  }
}
