/** Who is calling, as a verified access token or API token says it. Frozen: requests share it. */
export interface Principal {
  /** The user's id, the `sub` of the token. It never changes and is never used again. */
  readonly id: string;
  readonly username: string;
  readonly scopes: readonly string[];
  /** The session (`sid`) that the token belongs to; an API token belongs to none. */
  readonly sessionId: string | undefined;
  /** The token's own id: the `jti`, or the public part of an API token. */
  readonly tokenId: string;
  /** Epoch seconds of the login; undefined for an API token. */
  readonly authTime: number | undefined;
}

/** Who is calling a handler under `@SessionOnly()`. */
export interface SessionPrincipal extends Principal {
  readonly sessionId: string;
  readonly authTime: number;
}
