export class LogoutDto {
  /** May be left out when an access token is in the `Authorization` header. */
  refresh_token?: string;
}
