import {
  ArrayMaxSize,
  ArrayUnique,
  IsArray,
  IsInt,
  IsString,
  Length,
  Matches,
  Max,
  Min,
} from 'class-validator';
import { Optional } from '../http/optional.js';

/** Seconds: ten years. */
const LONGEST = 315_360_000;

export class CreateApiTokenDto {
  /**
   * What you know it by.
   * @example 'nightly export'
   */
  @IsString()
  @Length(1, 100)
  @Matches(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, { message: 'name must be one line of text' })
  name!: string;

  /**
   * All of yours when left out.
   * @example ['profile']
   */
  @Optional()
  @IsArray()
  @ArrayMaxSize(100)
  @ArrayUnique()
  @IsString({ each: true })
  scopes?: string[];

  /**
   * Seconds; it does not expire when left out.
   * @example 86400
   */
  @Optional()
  @IsInt()
  @Min(1)
  @Max(LONGEST)
  expires_in?: number;
}

/** Times are RFC 3339, UTC. */
export class ApiTokenDto {
  id!: string;
  name!: string;
  scopes!: string[];
  created_at!: string;
  expires_at!: string | null;
  /** To about half a minute. */
  last_used_at!: string | null;
}

export class CreatedApiTokenDto extends ApiTokenDto {
  /** Shown this once. */
  token!: string;
}
