import { Controller, Header, HttpCode, Post, Req, UseGuards } from '@nestjs/common';
import { ApiBody, ApiOkResponse } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { CurrentUser, type Principal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { ConsumesForms } from '../http/media-type.js';
import { tokenParameter } from '../http/parameters.js';
import { Introspection } from '../users/introspection.js';
import { IntrospectDto, IntrospectionDto } from './introspect.dto.js';

/** The introspection endpoint (RFC 7662). */
@Controller('introspect')
export class IntrospectController {
  constructor(private readonly introspection: Introspection) {}

  /**
   * What a token says, if it is active. You see your own tokens, and with the scope
   * `tokens:introspect` everybody's; of any other there is nothing but `{"active": false}`.
   */
  @UseGuards(JwtAuthGuard)
  @Post()
  @HttpCode(200)
  @Header('pragma', 'no-cache')
  @ConsumesForms()
  @ApiBody({ type: IntrospectDto })
  @ApiOkResponse({ type: IntrospectionDto })
  async introspect(
    @Req() { body }: FastifyRequest,
    @CurrentUser() { id, scopes }: Principal,
  ): Promise<IntrospectionDto> {
    const found = await this.introspection.introspect(tokenParameter(body));
    const visible = found?.sub === id || scopes.includes('tokens:introspect');
    return found !== undefined && visible ? { active: true, ...found } : { active: false };
  }
}
