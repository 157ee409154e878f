import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { Database } from '../database/database.js';
import type { RevocationsTable } from '../database/schema.js';
import { type ErrorCode, LatchkeyError } from '../errors.js';
import type { Revocable } from '../revocation/revocation.js';
import { AccessTokens } from './access-tokens.js';
import { decodeSegment, type JsonObject } from './compact-form.js';
import { type Check, Fault } from './fault.js';
import { checkSignature } from './signature.js';

export type Explanation =
  | { valid: true; claims: JsonObject }
  | {
      valid: false;
      /** What the API answers: token_invalid, token_expired or token_revoked. */
      code: ErrorCode;
      /** The check that it failed; those before it were passed, those after it not made. */
      check: Check;
      reason: string;
      /** Only of a token that one of our keys signed: another one's could say anything. */
      claims?: JsonObject;
    };

/** Tells whoever runs the service what nobody else is told: why a token is refused. */
@Injectable()
export class TokenExplainer {
  constructor(
    @Inject(Database) private readonly db: Database,
    private readonly jwt: JwtService,
    private readonly tokens: AccessTokens,
  ) {}

  /**
   * Puts a token through the very checks that a request's token goes through.
   * @throws temporarily_unavailable when the keys or the revocations cannot be trusted
   */
  async explain(token: string): Promise<Explanation> {
    let claims: JsonObject | undefined;
    try {
      checkSignature(this.jwt, token, this.tokens.keyFor(token));
      claims = decodeSegment(token, 1);
      this.tokens.accept(token);
      return { valid: true, claims: claims ?? {} };
    } catch (error) {
      if (!(error instanceof LatchkeyError) || error.error !== 'invalid_token') throw error;
      const { check, reason } =
        error.cause instanceof Fault
          ? error.cause
          : new Fault('revocation', await this.#revokedBy(claims as unknown as Revocable));
      return { valid: false, code: error.code, check, reason, ...(claims && { claims }) };
    }
  }

  async #revokedBy({ jti, sid, sub, gen }: Revocable): Promise<string> {
    const rows = await this.db
      .selectFrom('revocations')
      .select(['id', 'kind', 'gen'])
      .where((eb) =>
        eb.or([
          eb.and({ kind: 'jti', subject: jti }),
          eb.and({ kind: 'sid', subject: sid }),
          eb.and([eb.and({ kind: 'sub', subject: sub }), eb('gen', '>', gen)]),
        ]),
      )
      .orderBy('id')
      .execute();
    // None, when the row was pruned this very moment.
    if (rows.length === 0) return 'it was revoked';
    const about: Record<
      Exclude<RevocationsTable['kind'], 'api'>,
      (below: number | null) => string
    > = {
      jti: () => `this token (jti ${jti})`,
      sid: () => `its session (sid ${sid})`,
      sub: (below) => `its user (sub ${sub}) below gen ${below}, and it has gen ${gen}`,
    };
    return rows
      .map(
        (row) =>
          `row ${row.id} of revocations refuses ${about[row.kind as keyof typeof about](row.gen)}`,
      )
      .join('; ');
  }
}
