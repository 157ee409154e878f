import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Config } from '../config/config.js';
import { malformed } from '../errors.js';
import type { IssuedTokens } from '../users/issued-tokens.js';

/**
 * The two cookies of a browser, one for each token: scripts cannot read them (HttpOnly), and no
 * other host gets or, by `__Host-`, sets them (RFC 6265bis sections 4.1.2 and 4.1.3). Their names
 * depend on the issuer alone: a request, whose headers anybody can write, has no say in what is
 * secure.
 */
@Injectable()
export class Cookies {
  readonly #access: string;
  readonly #refresh: string;
  readonly #attributes: string;

  constructor({ issuer }: Config) {
    // Any other issuer is http on loopback: the start is refused with one that is not.
    const secure = issuer.startsWith('https:');
    this.#access = secure ? '__Host-latchkey' : 'latchkey';
    this.#refresh = secure ? '__Secure-latchkey_refresh' : 'latchkey_refresh';
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  }

  /** @throws invalid_request where it is there twice */
  accessToken(request: FastifyRequest): string | undefined {
    return valueOf(request, this.#access);
  }

  /** @throws invalid_request where it is there twice */
  refreshToken(request: FastifyRequest): string | undefined {
    return valueOf(request, this.#refresh);
  }

  /** Each lives as long as its token. */
  set(reply: FastifyReply, { accessToken, expiresIn, refresh }: IssuedTokens): void {
    this.#write(reply, this.#access, accessToken, expiresIn);
    // A session that cannot be refreshed must not leave the token of an earlier one behind.
    this.#write(reply, this.#refresh, refresh?.token ?? '', refresh?.expiresIn ?? 0);
  }

  /** With the attributes that they were set with, or a browser would keep them. */
  clear(reply: FastifyReply): void {
    this.#write(reply, this.#access, '', 0);
    this.#write(reply, this.#refresh, '', 0);
  }

  /** @param maxAge seconds; tokens need no quoting */
  #write(reply: FastifyReply, name: string, value: string, maxAge: number): void {
    void reply.header('set-cookie', `${name}=${value}; Max-Age=${maxAge}; ${this.#attributes}`);
  }
}

/**
 * RFC 6265 section 5.4, to the letter. Nothing else counts as a space: `trim()` also takes away
 * what a browser sees as part of a name, and so would let any page of the domain set a cookie that
 * reads like one with `__Host-`.
 */
function valueOf({ headers }: FastifyRequest, name: string): string | undefined {
  const values = (headers.cookie ?? '')
    .split(/; */)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  // Whose is the other one? A sibling domain may have planted it, in front of the true one.
  if (values.length > 1) throw malformed('A cookie is there twice');
  return values[0] === '' ? undefined : values[0];
}
