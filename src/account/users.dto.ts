import { IsString } from 'class-validator';

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
