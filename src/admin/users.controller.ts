import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Ip,
  Param,
  Patch,
  Post,
  Query,
  UseGuards,
} from '@nestjs/common';
import { isUUID } from 'class-validator';
import { CurrentUser, type SessionPrincipal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { RequireRecentLogin } from '../auth/require-recent-login.js';
import { RequireScopes } from '../auth/require-scopes.js';
import { SessionOnly } from '../auth/session-only.js';
import { malformed, userUnknown } from '../errors.js';
import { DEFAULT_ROLE } from '../roles.js';
import { Account } from '../users/account.js';
import { Registration } from '../users/registration.js';
import { canonicalUsername } from '../users/username.js';
import { type User, Users } from '../users/users.js';
import { fromCursor, toCursor } from './cursor.js';
import {
  AdminUserDto,
  ChangeUserDto,
  CreatedUserDto,
  CreateUserDto,
  ListUsersDto,
  UserPageDto,
} from './users.dto.js';

/** Administration of users. What changes something asks for a login of the last five minutes. */
@UseGuards(JwtAuthGuard)
@SessionOnly()
@RequireScopes('admin')
@Controller('admin/users')
export class AdminUsersController {
  constructor(
    private readonly users: Users,
    private readonly registration: Registration,
    private readonly account: Account,
  ) {}

  /** All users, in the order of their names. */
  @Get()
  async list(@Query() { limit, cursor, search }: ListUsersDto): Promise<UserPageDto> {
    const page = await this.users.list(limit, place(cursor), search);
    const last = page.at(-1);
    const more = last !== undefined && page.length === limit;
    return { users: page.map(toWire), next_cursor: more ? toCursor(last.username) : null };
  }

  /** Create a user; without a password, invite one. */
  @RequireRecentLogin('5m')
  @Post()
  async create(
    @Body() { username, password, roles = [DEFAULT_ROLE] }: CreateUserDto,
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Ip() address: string,
  ): Promise<CreatedUserDto> {
    const actor = { id, address, sessionId };
    if (password !== undefined) {
      return toWire(await this.registration.create({ username, password, roles }, actor));
    }
    const invited = await this.registration.invite(username, roles, actor);
    return { ...toWire(invited.user), one_time_password: invited.password };
  }

  /** Disable or enable a user, give other roles, or both. */
  @RequireRecentLogin('5m')
  @Patch(':id')
  async change(
    @Param('id') userId: string,
    @Body() change: ChangeUserDto,
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Ip() address: string,
  ): Promise<AdminUserDto> {
    await this.account.change(known(userId), change, { id, address, sessionId });
    const user = await this.users.findById(userId);
    if (user === undefined) throw userUnknown(); // deleted this very moment
    return toWire(user);
  }

  /** Delete a user; every token of theirs stops working. */
  @RequireRecentLogin('5m')
  @Delete(':id')
  @HttpCode(204)
  async delete(
    @Param('id') userId: string,
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Ip() address: string,
  ): Promise<void> {
    await this.account.delete(known(userId), { id, address, sessionId });
  }
}

/** @throws invalid_request: what is no name would begin anew */
function place(cursor: string | undefined): string | undefined {
  const name = fromCursor(cursor);
  if (name !== undefined && canonicalUsername(name) === undefined) {
    throw malformed('cursor is not valid');
  }
  return name;
}

/** @throws not_found for what cannot be an id: a database may refuse to look for it */
function known(id: string): string {
  if (!isUUID(id)) throw userUnknown();
  return id;
}

const toWire = ({ id, username, roles, disabled, createdAt }: User): AdminUserDto => ({
  id,
  username,
  roles: [...roles],
  disabled,
  created_at: new Date(createdAt).toISOString(),
});
