import { Body, Controller, Delete, Get, HttpCode, Ip, Post, UseGuards } from '@nestjs/common';
import { AllowPasswordChange } from '../auth/allow-password-change.js';
import { CurrentUser, type Principal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { Public } from '../auth/public.js';
import { Config } from '../config/config.js';
import { LatchkeyError, tokenRevoked } from '../errors.js';
import { Account } from '../users/account.js';
import { PasswordChange } from '../users/password-change.js';
import { Registration } from '../users/registration.js';
import { type User, Users } from '../users/users.js';
import { ChangePasswordDto, ProfileDto, RegisterDto } from './users.dto.js';

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
  @Get('me')
  async read(@CurrentUser() { id }: Principal): Promise<ProfileDto> {
    const user = await this.users.findById(id);
    if (user === undefined) throw tokenRevoked(); // deleted by another process this very moment
    return profile(user);
  }

  /** Change your password; every other session and its access tokens end. */
  @UseGuards(JwtAuthGuard)
  @AllowPasswordChange()
  @Post('me/password')
  @HttpCode(204)
  async changePassword(
    @CurrentUser() { id, username, sessionId }: Principal,
    @Body() { current_password: current, new_password: next }: ChangePasswordDto,
    @Ip() address: string,
  ): Promise<void> {
    await this.passwordChange.change({ id, username, sessionId, address }, current, next);
  }

  /** Delete your account; every token of it stops working. */
  @UseGuards(JwtAuthGuard)
  @Delete('me')
  @HttpCode(204)
  async delete(@CurrentUser() { id }: Principal, @Ip() address: string): Promise<void> {
    await this.account.delete(id, { id, address });
  }
}

function profile({ id, username, roles, createdAt }: User): ProfileDto {
  return { id, username, roles: [...roles], created_at: new Date(createdAt).toISOString() };
}
