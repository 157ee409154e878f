import {
  ArrayNotEmpty,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsIn,
  IsString,
  Length,
} from 'class-validator';
import { Optional } from '../http/optional.js';
import { type Role, ROLES } from '../roles.js';
import { PageDto } from './page.dto.js';

const ROLE_NAMES = Object.keys(ROLES);

export class ListUsersDto extends PageDto {
  /** What the names begin with. */
  @Optional()
  @IsString()
  @Length(1, 64)
  search?: string;
}

export class CreateUserDto {
  /** @example 'bob' */
  @IsString()
  username!: string;

  /** When left out, a one-time password is made, which must be changed within 3 days. */
  @Optional()
  @IsString()
  password?: string;

  /** @example ['user'] */
  @Optional()
  @IsArray()
  @ArrayNotEmpty()
  @ArrayUnique()
  @IsIn(ROLE_NAMES, { each: true })
  roles?: Role[];
}

export class ChangeUserDto {
  /** Ends the sessions; nobody can log in as the user until they are enabled again. */
  @Optional()
  @IsBoolean()
  disabled?: boolean;

  /** Exactly these; the tokens with the rights of before are refused. */
  @Optional()
  @IsArray()
  @ArrayNotEmpty()
  @ArrayUnique()
  @IsIn(ROLE_NAMES, { each: true })
  roles?: Role[];
}

export class AdminUserDto {
  id!: string;
  username!: string;
  roles!: string[];
  disabled!: boolean;
  /** RFC 3339, UTC. */
  created_at!: string;
}

export class CreatedUserDto extends AdminUserDto {
  /** The one-time password, shown this once. */
  one_time_password?: string;
}

export class UserPageDto {
  users!: AdminUserDto[];
  /** Null on the last page. */
  next_cursor!: string | null;
}
