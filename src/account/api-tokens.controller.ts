import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Ip,
  Param,
  Post,
  UseGuards,
} from '@nestjs/common';
import { isApiTokenId } from '../api-tokens/api-token.js';
import { type ApiToken, ApiTokens } from '../api-tokens/api-tokens.js';
import { CurrentUser, type Principal, type SessionPrincipal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { RequireRecentLogin } from '../auth/require-recent-login.js';
import { SessionOnly } from '../auth/session-only.js';
import { apiTokenUnknown } from '../errors.js';
import { UserApiTokens } from '../users/user-api-tokens.js';
import { ApiTokenDto, CreateApiTokenDto, CreatedApiTokenDto } from './api-tokens.dto.js';

/** Tokens for your programs, which have no password and no session. */
@UseGuards(JwtAuthGuard)
@SessionOnly()
@Controller('api-tokens')
export class ApiTokensController {
  constructor(
    private readonly apiTokens: ApiTokens,
    private readonly userApiTokens: UserApiTokens,
  ) {}

  /** Your API tokens, the newest first. */
  @Get()
  async list(@CurrentUser() { id }: Principal): Promise<ApiTokenDto[]> {
    return (await this.apiTokens.list(id)).map(toWire);
  }

  /** Make an API token. It is shown this once; the login must be of the last five minutes. */
  @RequireRecentLogin('5m')
  @Post()
  async create(
    @CurrentUser() { id, scopes: held, sessionId }: SessionPrincipal,
    @Body() { name, scopes, expires_in: expiresIn }: CreateApiTokenDto,
    @Ip() address: string,
  ): Promise<CreatedApiTokenDto> {
    const request = { name, scopes, expiresIn };
    const actor = { id, address, sessionId };
    const { token, created } = await this.userApiTokens.create(id, held, request, actor);
    return { ...toWire(created), token };
  }

  /** End all your API tokens. */
  @Delete()
  @HttpCode(204)
  async endAll(@CurrentUser() { id }: Principal, @Ip() address: string): Promise<void> {
    await this.userApiTokens.endAll(id, { id, address });
  }

  /** End one of your API tokens. */
  @Delete(':id')
  @HttpCode(204)
  async end(
    @CurrentUser() { id }: Principal,
    @Param('id') tokenId: string,
    @Ip() address: string,
  ): Promise<void> {
    if (!isApiTokenId(tokenId)) throw apiTokenUnknown();
    await this.userApiTokens.end(id, tokenId, { id, address });
  }
}

export function toWire(token: ApiToken): ApiTokenDto {
  const time = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());
  return {
    id: token.id,
    name: token.name,
    scopes: [...token.scopes],
    created_at: new Date(token.createdAt).toISOString(),
    expires_at: time(token.expiresAt),
    last_used_at: time(token.lastUsedAt),
  };
}
