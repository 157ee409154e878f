import { Controller, Get, Header } from '@nestjs/common';
import { Public } from '../auth/public.js';
import { Config } from '../config/config.js';
import { Keyring } from '../keys/keyring.js';
import { jwks } from '../keys/jwks.js';
import { ALL_SCOPES } from '../roles.js';
import { JwksDto, MetadataDto } from './well-known.dto.js';

/** What other services read once and keep for a while. */
const CACHEABLE = 'public, max-age=300';

@Public()
@Controller('.well-known')
export class WellKnownController {
  constructor(
    private readonly config: Config,
    private readonly keyring: Keyring,
  ) {}

  /** The public keys that verify access tokens (RFC 7517); none while `JWT_SECRET` is set. */
  @Get('jwks.json')
  @Header('cache-control', CACHEABLE)
  jwks(): JwksDto {
    return jwks(this.keyring.verificationKeys());
  }

  /** What this server offers (RFC 8414). */
  @Get('oauth-authorization-server')
  @Header('cache-control', CACHEABLE)
  metadata(): MetadataDto {
    const { issuer, jwtSecret, passwordGrant, docs } = this.config;
    return {
      issuer,
      token_endpoint: `${issuer}/token`,
      // With a shared secret there is nothing to publish.
      ...(jwtSecret === undefined && {
        jwks_uri: `${issuer}/.well-known/jwks.json`,
        revocation_feed_uri: `${issuer}/revocations`,
      }),
      revocation_endpoint: `${issuer}/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      introspection_endpoint: `${issuer}/introspect`,
      scopes_supported: [...ALL_SCOPES],
      response_types_supported: [],
      grant_types_supported: [...(passwordGrant ? ['password'] : []), 'refresh_token'],
      token_endpoint_auth_methods_supported: ['none'],
      ...(docs && { service_documentation: `${issuer}/docs` }),
    };
  }
}
