import { Type } from 'class-transformer';
import { IsIn, IsInt, IsOptional, Matches, Max, Min } from 'class-validator';
import { DURATION } from './duration.js';

const DURATION_MESSAGE = 'must be a duration such as 30m, 12h or 14d';

/** The environment as the operator writes it: one property a variable, with its default. */
export class Settings {
  /** 0 lets the system choose a free port. */
  @Type(() => Number)
  @IsInt({ message: 'must be a port number' })
  @Min(0, { message: 'must be a port number' })
  @Max(65_535, { message: 'must be a port number' })
  PORT = 3000;

  @Matches(/^[A-Za-z0-9.:_-]+$/, { message: 'must be a host name or an IP address' })
  HOST = '127.0.0.1';

  @Matches(/^(sqlite:.+|postgres(ql)?:\/\/.+)$/, {
    message: 'must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE',
  })
  DATABASE_URL = 'sqlite:./data/latchkey.db';

  /** Unset: `http://localhost:PORT`. */
  @IsOptional()
  ISSUER?: string;

  /** Comma-separated URIs of the services for which tokens can be asked. */
  @IsOptional()
  AUDIENCES?: string;

  @IsOptional()
  JWT_SECRET?: string;

  @IsOptional()
  JWT_SECRET_PREVIOUS?: string;

  /** Unset: ES256. */
  @IsOptional()
  @IsIn(['ES256', 'RS256'], { message: 'must be ES256 or RS256' })
  SIGNING_ALGORITHM?: 'ES256' | 'RS256';

  @IsOptional()
  KEY_ENCRYPTION_SECRET?: string;

  @IsOptional()
  KEY_ENCRYPTION_SECRET_PREVIOUS?: string;

  @Matches(DURATION, { message: DURATION_MESSAGE })
  ACCESS_TOKEN_TTL = '30m';

  /** Without a refresh for so long, a session ends. */
  @Matches(DURATION, { message: DURATION_MESSAGE })
  SESSION_IDLE_TTL = '14d';

  /** However often it is refreshed, a session ends so long after its login. */
  @Matches(DURATION, { message: DURATION_MESSAGE })
  SESSION_TTL = '90d';

  /** For so long a used refresh token gives the same successor again. */
  @Matches(DURATION, { message: DURATION_MESSAGE })
  REFRESH_TOKEN_REUSE_INTERVAL = '10s';

  /** Of one user; one more ends the oldest. */
  @Type(() => Number)
  @IsInt({ message: 'must be a whole number from 1 to 1000' })
  @Min(1, { message: 'must be a whole number from 1 to 1000' })
  @Max(1000, { message: 'must be a whole number from 1 to 1000' })
  MAX_SESSIONS = 50;

  @Matches(DURATION, { message: DURATION_MESSAGE })
  REVOCATION_MAX_STALENESS = '60s';

  /** Unset: what happened is kept for ever. */
  @IsOptional()
  @Matches(DURATION, { message: DURATION_MESSAGE })
  AUDIT_RETENTION?: string;

  @IsIn(['open', 'closed'], { message: 'must be open or closed' })
  REGISTRATION: 'open' | 'closed' = 'open';

  @IsIn(['on', 'off'], { message: 'must be on or off' })
  PASSWORD_GRANT: 'on' | 'off' = 'on';

  /** Code points. */
  @Type(() => Number)
  @IsInt({ message: 'must be a whole number from 8 to 64' })
  @Min(8, { message: 'must be a whole number from 8 to 64' })
  @Max(64, { message: 'must be a whole number from 8 to 64' })
  PASSWORD_MIN_LENGTH = 8;

  @Type(() => Number)
  @IsInt({ message: 'must be a whole number of KiB, at most 262144' })
  @Min(8, { message: 'must be a whole number of KiB, at most 262144' })
  @Max(262_144, { message: 'must be a whole number of KiB, at most 262144' })
  ARGON2_MEMORY_KIB = 19_456;

  @Type(() => Number)
  @IsInt({ message: 'must be a whole number from 1 to 10' })
  @Min(1, { message: 'must be a whole number from 1 to 10' })
  @Max(10, { message: 'must be a whole number from 1 to 10' })
  ARGON2_TIME = 2;

  @Type(() => Number)
  @IsInt({ message: 'must be a whole number from 1 to 8' })
  @Min(1, { message: 'must be a whole number from 1 to 8' })
  @Max(8, { message: 'must be a whole number from 1 to 8' })
  ARGON2_PARALLELISM = 1;

  /** Comma-separated origins. */
  @IsOptional()
  CORS_ORIGINS?: string;

  /** How many proxies stand in front, or their addresses, separated by commas. */
  @IsOptional()
  TRUST_PROXY?: string;

  @IsIn(['open', 'off'], { message: 'must be open or off' })
  METRICS: 'open' | 'off' = 'off';

  @IsIn(['on', 'off'], { message: 'must be on or off' })
  DOCS: 'on' | 'off' = 'on';

  @IsIn(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    message: 'must be one of fatal, error, warn, info, debug, trace, silent',
  })
  LOG_LEVEL: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent' = 'info';
}
