/** RFC 6749 section 5.1. */
export class TokenDto {
  access_token!: string;
  /** @example 'bearer' */
  token_type!: 'bearer';
  /**
   * Seconds until the access token expires.
   * @example 1800
   */
  expires_in!: number;
  /** Gives the next access token and the next refresh token, once. */
  refresh_token?: string;
  /**
   * Seconds in which the refresh token must be used.
   * @example 1209600
   */
  refresh_expires_in?: number;
  /**
   * Seconds until the session ends, however often it is refreshed.
   * @example 7776000
   */
  session_expires_in?: number;
  /**
   * Space-separated.
   * @example 'profile'
   */
  scope!: string;
}

/** RFC 6749 sections 4.3.2 and 6. */
export class TokenRequestDto {
  /** `password` when left out. */
  grant_type?: 'password' | 'refresh_token';
  /**
   * With the password grant.
   * @example 'alice'
   */
  username?: string;
  /**
   * With the password grant.
   * @example 'quiet river under seven moons'
   */
  password?: string;
  /** With the refresh grant. */
  refresh_token?: string;
  /**
   * Space-separated; all of yours when left out, or all of the session's.
   * @example 'profile'
   */
  scope?: string;
  /** One of `AUDIENCES`: the service that the token is for. This one when left out. */
  resource?: string;
}
