/** RFC 7662 section 2.1. */
export class IntrospectDto {
  /** An access token, a refresh token or an API token. */
  token!: string;
  /** Not needed: the kind of a token is in its form. */
  token_type_hint?: string;
}

/** RFC 7662 section 2.2. Times are epoch seconds. */
export class IntrospectionDto {
  active!: boolean;
  /** Space-separated. */
  scope?: string;
  client_id?: string;
  username?: string;
  /** `bearer` for an access token and an API token; absent for a refresh token. */
  token_type?: 'bearer';
  exp?: number;
  iat?: number;
  auth_time?: number;
  sub?: string;
  aud?: string;
  iss?: string;
  jti?: string;
  /** The session. */
  sid?: string;
}
