import { Body, Controller, Header, HttpCode, Post, Req, UseGuards } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiBody, ApiConsumes, ApiOkResponse } from '@nestjs/swagger';
import { CONSUMES, FORM_TYPE, JSON_TYPE, MULTIPART_TYPE } from '../http/media-type.js';
import type { Proof } from '../users/credentials.js';
import { Login } from '../users/login.js';
import type { PasswordGrantRequest } from './token-request.js';
import { TokenRequestGuard } from './token-request.guard.js';
import { TokenDto, TokenRequestDto } from './token.dto.js';

const MEDIA_TYPES = [FORM_TYPE, MULTIPART_TYPE, JSON_TYPE];

/** The token endpoint (RFC 6749 section 3.2). */
@Controller('token')
export class TokenController {
  constructor(private readonly login: Login) {}

  /** Log in. This is the service's own first-party login: the password grant, used by nobody else. */
  @UseGuards(TokenRequestGuard)
  @Post()
  @HttpCode(200)
  @Header('pragma', 'no-cache')
  @RouteConfig({ [CONSUMES]: MEDIA_TYPES })
  @ApiConsumes(...MEDIA_TYPES)
  @ApiBody({ type: TokenRequestDto })
  @ApiOkResponse({ type: TokenDto })
  async create(
    @Body() { scopes }: PasswordGrantRequest,
    @Req() { user }: { user: Proof },
  ): Promise<TokenDto> {
    const issued = await this.login.open(user, scopes);
    return {
      access_token: issued.accessToken,
      token_type: 'bearer',
      expires_in: issued.expiresIn,
      scope: issued.scopes.join(' '),
    };
  }
}
