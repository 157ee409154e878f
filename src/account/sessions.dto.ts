/** Times are RFC 3339, UTC. */
export class SessionDto {
  /** The `sid` of its tokens. */
  id!: string;
  /** The login. */
  created_at!: string;
  /** The last refresh, or the login. */
  last_used_at!: string;
  /** When it ends unless it is refreshed. */
  expires_at!: string;
  /** From where it was last used. */
  address!: string | null;
  user_agent!: string | null;
  /** The one that asks. */
  current!: boolean;
}
