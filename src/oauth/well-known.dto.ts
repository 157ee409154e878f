/** RFC 7517 section 5. */
export class JwksDto {
  keys!: Record<string, string>[];
}

/** RFC 8414 section 2. */
export class MetadataDto {
  issuer!: string;
  token_endpoint!: string;
  jwks_uri?: string;
  /** Ours: see `GET /revocations`. */
  revocation_feed_uri?: string;
  revocation_endpoint!: string;
  revocation_endpoint_auth_methods_supported!: string[];
  introspection_endpoint!: string;
  scopes_supported!: string[];
  response_types_supported!: string[];
  grant_types_supported!: string[];
  token_endpoint_auth_methods_supported!: string[];
  service_documentation?: string;
}
