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
  /**
   * Space-separated.
   * @example 'profile'
   */
  scope!: string;
}

/** RFC 6749 section 4.3.2. */
export class TokenRequestDto {
  /** May be left out. */
  grant_type?: 'password';
  /** @example 'alice' */
  username!: string;
  /** @example 'quiet river under seven moons' */
  password!: string;
  /**
   * Space-separated; all of yours when left out.
   * @example 'profile'
   */
  scope?: string;
}
