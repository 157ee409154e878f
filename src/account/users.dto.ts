import { IsBoolean, IsString } from 'class-validator';
import { Optional } from '../http/optional.js';
import { ApiTokenDto } from './api-tokens.dto.js';

export class RegisterDto {
  /**
   * 1 to 64 letters, digits or `. _ @ + -`; compared without case. It cannot be changed.
   * @example 'alice'
   */
  @IsString()
  username!: string;

  /**
   * At least 8 characters, and not a common one.
   * @example 'quiet river under seven moons'
   */
  @IsString()
  password!: string;
}

export class ChangePasswordDto {
  @IsString()
  current_password!: string;

  /** At least 8 characters, not a common one, not the current one. */
  @IsString()
  new_password!: string;

  /** Ends your API tokens too; those that go on are in the answer. */
  @Optional()
  @IsBoolean()
  end_api_tokens?: boolean;
}

/** 204 and nothing where there is none. */
export class PasswordChangedDto {
  /** What still works without the password. */
  api_tokens!: ApiTokenDto[];
}

export class ProfileDto {
  /** Never changes and is never used again: key your own data on it. */
  id!: string;
  username!: string;
  /** @example ['user'] */
  roles!: string[];
  /**
   * RFC 3339, UTC.
   * @example '2026-01-31T12:00:00.000Z'
   */
  created_at!: string;
}
