import {
  Controller,
  Headers,
  HttpCode,
  Inject,
  Ip,
  Logger,
  Post,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import { ApiBody, ApiOkResponse } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Cookies } from '../auth/cookies.js';
import { Public } from '../auth/public.js';
import { SameOrigin } from '../auth/same-origin.js';
import { Config } from '../config/config.js';
import { causeOf, LatchkeyError, sessionEnded } from '../errors.js';
import { Consumes, FORM_TYPE, JSON_TYPE } from '../http/media-type.js';
import type { Proof } from '../users/credentials.js';
import type { IssuedTokens } from '../users/issued-tokens.js';
import { Login } from '../users/login.js';
import { Refreshing } from '../users/refreshing.js';
import { TokenRevocation } from '../users/token-revocation.js';
import { BrowserSessionDto, LoginDto } from './login.dto.js';
import { type LoginRequest, LoginRequestGuard } from './login-request.guard.js';

const SETS_COOKIES = {
  'Set-Cookie': {
    description: 'The access token and the refresh token, each in a cookie that no script can read',
    schema: { type: 'string' as const },
  },
};

/** Logs browsers in: the tokens are in cookies, and in no body. */
@Controller('login')
export class LoginController {
  readonly #logger = new Logger('Login');

  constructor(
    @Inject(Config) private readonly config: Config,
    private readonly login: Login,
    private readonly refreshing: Refreshing,
    private readonly cookies: Cookies,
    private readonly revocation: TokenRevocation,
  ) {}

  /**
   * Log in, in a browser: the tokens come as cookies, for pages of this origin and of
   * `CORS_ORIGINS`. Open also while `PASSWORD_GRANT=off`.
   */
  @UseGuards(LoginRequestGuard)
  @Post()
  @HttpCode(200)
  @Consumes(FORM_TYPE, JSON_TYPE)
  @ApiBody({ type: LoginDto })
  @ApiOkResponse({ type: BrowserSessionDto, headers: SETS_COOKIES })
  async create(
    @Req() { user, body }: { user: Proof; body: LoginRequest },
    @Headers('user-agent') userAgent: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BrowserSessionDto> {
    const { issuer: audience } = this.config;
    const tokens = await this.login.open(user, { scopes: body.scopes, audience, userAgent });
    if (body.refreshToken !== undefined) await this.#forget(body.refreshToken, user.address);
    this.cookies.set(reply, tokens);
    return toWire(tokens);
  }

  /** The browser will not have that session any more, so nobody could ever log out of it. */
  async #forget(refreshToken: string, address: string): Promise<void> {
    try {
      await this.revocation.endSession(refreshToken, address);
    } catch (error) {
      // The new one is there already. Its user finds this one in the list of sessions.
      if (!(error instanceof LatchkeyError)) throw error;
      this.#logger.warn(`A session that was logged in over could not be ended: ${causeOf(error)}`);
    }
  }

  /** Put the next tokens in the place of those in the cookies. */
  @Public()
  @UseGuards(SameOrigin)
  @Post('refresh')
  @HttpCode(200)
  @ApiOkResponse({ type: BrowserSessionDto, headers: SETS_COOKIES })
  async refresh(
    @Req() request: FastifyRequest,
    @Ip() address: string,
    @Headers('user-agent') userAgent: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<BrowserSessionDto> {
    const refreshToken = this.cookies.refreshToken(request);
    try {
      if (refreshToken === undefined) throw sessionEnded();
      const tokens = await this.refreshing.refresh({
        refreshToken,
        scopes: undefined,
        audience: this.config.issuer,
        client: { address, userAgent },
      });
      this.cookies.set(reply, tokens);
      return toWire(tokens);
    } catch (error) {
      // Only then: after a 503 the same cookie is still good.
      const over = error instanceof LatchkeyError && error.code === 'session_ended';
      if (over) this.cookies.clear(reply);
      throw error;
    }
  }
}

function toWire({ expiresIn, scopes, refresh }: IssuedTokens): BrowserSessionDto {
  return {
    expires_in: expiresIn,
    ...(refresh && {
      refresh_expires_in: refresh.expiresIn,
      session_expires_in: refresh.sessionExpiresIn,
    }),
    scope: scopes.join(' '),
  };
}
