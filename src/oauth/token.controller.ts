import {
  Body,
  Controller,
  Header,
  Headers,
  HttpCode,
  Inject,
  Ip,
  Post,
  Req,
  UseGuards,
} from '@nestjs/common';
import { ApiBody, ApiOkResponse } from '@nestjs/swagger';
import { Config } from '../config/config.js';
import { ConsumesForms } from '../http/media-type.js';
import type { Proof } from '../users/credentials.js';
import type { IssuedTokens } from '../users/issued-tokens.js';
import { Login } from '../users/login.js';
import { Refreshing } from '../users/refreshing.js';
import type { TokenRequest } from './token-request.js';
import { TokenRequestGuard } from './token-request.guard.js';
import { TokenDto, TokenRequestDto } from './token.dto.js';

/** The token endpoint (RFC 6749 section 3.2). */
@Controller('token')
export class TokenController {
  constructor(
    @Inject(Config) private readonly config: Config,
    private readonly login: Login,
    private readonly refreshing: Refreshing,
  ) {}

  /**
   * Log in, or refresh. The password grant is the service's own first-party login, used by nobody
   * else.
   */
  @UseGuards(TokenRequestGuard)
  @Post()
  @HttpCode(200)
  @Header('pragma', 'no-cache')
  @ConsumesForms()
  @ApiBody({ type: TokenRequestDto })
  @ApiOkResponse({ type: TokenDto })
  async create(
    @Body() request: TokenRequest,
    @Req() { user }: { user: Proof },
    @Ip() address: string,
    @Headers('user-agent') userAgent: string | undefined,
  ): Promise<TokenDto> {
    const { scopes, resource: audience = this.config.issuer } = request;
    return toWire(
      request.grant === 'password'
        ? await this.login.open(user, { scopes, audience, userAgent })
        : await this.refreshing.refresh({
            refreshToken: request.refreshToken,
            scopes,
            audience,
            client: { address, userAgent },
          }),
    );
  }
}

function toWire({ accessToken, expiresIn, scopes, refresh }: IssuedTokens): TokenDto {
  return {
    access_token: accessToken,
    token_type: 'bearer',
    expires_in: expiresIn,
    ...(refresh && {
      refresh_token: refresh.token,
      refresh_expires_in: refresh.expiresIn,
      session_expires_in: refresh.sessionExpiresIn,
    }),
    scope: scopes.join(' '),
  };
}
