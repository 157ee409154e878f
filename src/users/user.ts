/** A user as other modules see one. */
export interface User {
  id: string;
  username: string;
  roles: readonly string[];
  /** Epoch milliseconds. */
  createdAt: number;
}
