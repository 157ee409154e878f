import { Type } from 'class-transformer';
import { IsInt, IsString, Length, Max, Min } from 'class-validator';
import { Optional } from '../http/optional.js';

/** Which part of a long list is asked for. */
export class PageDto {
  @Optional()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(200)
  limit: number = 50;

  /** `next_cursor` of the page before. */
  @Optional()
  @IsString()
  @Length(1, 512)
  cursor?: string;
}
