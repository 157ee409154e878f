/** RFC 7009 section 2.1. */
export class RevokeDto {
  token!: string;
  /** Not needed: the kind of a token is in its form. */
  token_type_hint?: string;
}
