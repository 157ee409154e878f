import { Body, Controller, Delete, Get, HttpCode, Ip, Post, Res, UseGuards } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { AllowPasswordChange } from '../auth/allow-password-change.js';
import { CurrentUser, type Principal, type SessionPrincipal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { Public } from '../auth/public.js';
import { RequireRecentLogin } from '../auth/require-recent-login.js';
import { SessionOnly } from '../auth/session-only.js';
import { Config } from '../config/config.js';
import { LatchkeyError, tokenRevoked } from '../errors.js';
import { Account } from '../users/account.js';
import { PasswordChange } from '../users/password-change.js';
import { Registration } from '../users/registration.js';
import { type User, Users } from '../users/users.js';
import { toWire } from './api-tokens.controller.js';
import { ChangePasswordDto, PasswordChangedDto, ProfileDto, RegisterDto } from './users.dto.js';

@Controller('users')
export class UsersController {
  constructor(
    private readonly config: Config,
    private readonly users: Users,
    private readonly registration: Registration,
    private readonly passwordChange: PasswordChange,
    private readonly account: Account,
  ) {}

  /** Register. */
  @Public()
  @Post()
  async register(
    @Body() { username, password }: RegisterDto,
    @Ip() address: string,
  ): Promise<ProfileDto> {
    if (!this.config.registrationOpen) {
      throw new LatchkeyError('access_denied', 'registration_closed', 'Registration is closed');
    }
    return profile(await this.registration.register(username, password, address));
  }

  /** Your own profile. */
  @UseGuards(JwtAuthGuard)
  @SessionOnly()
  @Get('me')
  async read(@CurrentUser() { id }: Principal): Promise<ProfileDto> {
    const user = await this.users.findById(id);
    if (user === undefined) throw tokenRevoked(); // deleted by another process this very moment
    return profile(user);
  }

  /** Change your password; every other session and its access tokens end. */
  @UseGuards(JwtAuthGuard)
  @SessionOnly()
  @AllowPasswordChange()
  @Post('me/password')
  @HttpCode(204)
  @ApiOkResponse({ type: PasswordChangedDto, description: 'The API tokens that still work' })
  async changePassword(
    @CurrentUser() { id, username, sessionId }: SessionPrincipal,
    @Body() body: ChangePasswordDto,
    @Ip() address: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PasswordChangedDto | undefined> {
    const { current_password: current, new_password: next, end_api_tokens: ends } = body;
    const owner = { id, username, sessionId, address };
    const left = await this.passwordChange.change(owner, current, next, ends ?? false);
    if (left.length === 0) return undefined;
    void reply.status(200);
    return { api_tokens: left.map(toWire) };
  }

  /** Delete your account; every token of it stops working. The login must be of the last 5 minutes. */
  @UseGuards(JwtAuthGuard)
  @SessionOnly()
  @RequireRecentLogin('5m')
  @Delete('me')
  @HttpCode(204)
  async delete(
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Ip() address: string,
  ): Promise<void> {
    await this.account.delete(id, { id, address, sessionId });
  }
}

function profile({ id, username, roles, createdAt }: User): ProfileDto {
  return { id, username, roles: [...roles], created_at: new Date(createdAt).toISOString() };
}
