import { IsISO8601, IsUUID, Matches } from 'class-validator';
import { Optional } from '../http/optional.js';
import { PageDto } from './page.dto.js';

export class ReadAuditDto extends PageDto {
  /** Whom it is about: the id of a user, who may be gone. */
  @Optional()
  @IsUUID()
  user?: string;

  /** @example 'authn_login_fail' */
  @Optional()
  @Matches(/^[a-z_]{1,64}$/)
  event?: string;

  /** RFC 3339: from then on. */
  @Optional()
  @IsISO8601({ strict: true })
  since?: string;

  /** RFC 3339: before then. */
  @Optional()
  @IsISO8601({ strict: true })
  until?: string;
}

export class AuditEntryDto {
  id!: number;
  /** RFC 3339, UTC. */
  at!: string;
  event!: string;
  /** Whom it is about. */
  user_id!: string | null;
  /** The id of a user, `cli`, or `anyone` before a login. */
  actor!: string;
  address!: string | null;
  session_id!: string | null;
  detail!: unknown;
}

export class AuditPageDto {
  entries!: AuditEntryDto[];
  /** Null on the last page. */
  next_cursor!: string | null;
}
