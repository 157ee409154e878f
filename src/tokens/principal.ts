/** Who is calling, as a verified access token says it. Frozen: requests share it. */
export interface Principal {
  /** The user's id, the `sub` of the token. It never changes and is never used again. */
  readonly id: string;
  readonly username: string;
  readonly scopes: readonly string[];
  /** The session (`sid`) that the token belongs to. */
  readonly sessionId: string;
  /** The token's own id (`jti`). */
  readonly tokenId: string;
  /** Epoch seconds of the login. */
  readonly authTime: number;
}
