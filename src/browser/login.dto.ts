export class LoginDto {
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

/** How long the cookies are good for, and what for; what is in them is for nobody to read. */
export class BrowserSessionDto {
  /**
   * Seconds until the access token expires.
   * @example 1800
   */
  expires_in!: number;
  /**
   * Seconds in which it must be refreshed.
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
