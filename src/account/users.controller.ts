import { Body, Controller, Delete, Get, HttpCode, Ip, Post, UseGuards } from '@nestjs/common';
import { CurrentUser, type Principal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { Public } from '../auth/public.js';
import { tokenRevoked } from '../errors.js';
import { Account } from '../users/account.js';
import { type User, Users } from '../users/users.js';
import { ProfileDto, RegisterDto } from './users.dto.js';

@Controller('users')
export class UsersController {
  constructor(
    private readonly users: Users,
    private readonly account: Account,
  ) {}

  /** Register. */
  @Public()
  @Post()
  async register(
    @Body() { username, password }: RegisterDto,
    @Ip() address: string,
  ): Promise<ProfileDto> {
    return profile(await this.users.register(username, password, address));
  }

  /** Your own profile. */
  @UseGuards(JwtAuthGuard)
  @Get('me')
  async read(@CurrentUser() { id }: Principal): Promise<ProfileDto> {
    const user = await this.users.findById(id);
    if (user === undefined) throw tokenRevoked(); // deleted by another process this very moment
    return profile(user);
  }

  /** Delete your account; every token of it stops working. */
  @UseGuards(JwtAuthGuard)
  @Delete('me')
  @HttpCode(204)
  async delete(@CurrentUser() { id }: Principal): Promise<void> {
    await this.account.delete(id);
  }
}

function profile({ id, username, roles, createdAt }: User): ProfileDto {
  return { id, username, roles: [...roles], created_at: new Date(createdAt).toISOString() };
}
