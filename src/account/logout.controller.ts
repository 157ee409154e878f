import { Body, Controller, HttpCode, Ip, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiNoContentResponse } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { bearerToken } from '../auth/bearer-token.js';
import { Cookies } from '../auth/cookies.js';
import { Public } from '../auth/public.js';
import { SameOrigin } from '../auth/same-origin.js';
import { LatchkeyError } from '../errors.js';
import { ConsumesForms } from '../http/media-type.js';
import { TokenRevocation } from '../users/token-revocation.js';
import { LogoutDto } from './logout.dto.js';

const TAKES_COOKIES = {
  'Set-Cookie': {
    description: 'Takes away the cookies of a browser',
    schema: { type: 'string' as const },
  },
};

@Public()
@Controller('logout')
export class LogoutController {
  constructor(
    private readonly revocation: TokenRevocation,
    private readonly cookies: Cookies,
    private readonly sameOrigin: SameOrigin,
  ) {}

  /**
   * End the session of the refresh token in the body, of the bearer, and of the cookies, which are
   * taken away. There is no error: what is not genuine has no session, and an expired token still
   * says which one is to end.
   */
  @Post()
  @HttpCode(204)
  @ConsumesForms()
  @ApiBody({ type: LogoutDto, required: false })
  @ApiNoContentResponse({ headers: TAKES_COOKIES })
  async logOut(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Ip() address: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const cookies = this.#cookiesOf(request);
    const { refresh_token: refreshToken } = (body ?? {}) as { refresh_token?: unknown };
    for (const token of [refreshToken, presentedBearer(request), ...cookies]) {
      if (typeof token === 'string') await this.revocation.endSession(token, address);
    }
    if (cookies.length === 0) return;
    this.cookies.clear(reply);
    void reply.header('clear-site-data', '"storage"');
  }

  /** @throws access_denied where another page would log its visitor out */
  #cookiesOf(request: FastifyRequest): string[] {
    const { cookies } = this;
    const tokens = [cookies.refreshToken(request), cookies.accessToken(request)].filter(
      (token) => token !== undefined,
    );
    if (tokens.length > 0) this.sameOrigin.require(request);
    return tokens;
  }
}

function presentedBearer(request: FastifyRequest): string | undefined {
  try {
    return bearerToken(request);
  } catch (error) {
    if (error instanceof LatchkeyError && error.error === 'invalid_token') return undefined;
    throw error;
  }
}
