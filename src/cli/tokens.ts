import { isApiToken } from '../api-tokens/api-token.js';
import { isRefreshToken } from '../sessions/refresh-tokens.js';
import { type Explanation, TokenExplainer } from '../tokens/explain.js';
import { CHECKS } from '../tokens/fault.js';
import { inDomain } from './context.js';
import { readStandardInput } from './input.js';
import { type OutputOptions, print, table } from './output.js';

/** @param argument the token, or `-` */
export function explain(argument: string, options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const token = argument === '-' ? await readStandardInput() : argument;
    refuseOtherKinds(token);
    const explanation = await domain.get(TokenExplainer).explain(token);
    print(options, explanation, describe(explanation));
    if (!explanation.valid) process.exitCode = 1;
  });
}

/** They are no JWTs, and what a JWT's checks say of them would mislead. */
function refuseOtherKinds(token: string): void {
  const kind = isApiToken(token) ? 'an API' : isRefreshToken(token) ? 'a refresh' : undefined;
  if (kind === undefined) return;
  throw new Error(
    `This is ${kind} token, and access tokens are explained: POST /introspect tells what it is worth.`,
  );
}

/** The verdict, what was checked, and the claims where they are ours. */
function describe(explanation: Explanation): string {
  const { valid, claims } = explanation;
  const failed = valid ? CHECKS.length : CHECKS.indexOf(explanation.check);
  const outcome = (index: number): string => {
    if (index < failed) return 'ok';
    return valid || index > failed ? 'not checked' : explanation.reason;
  };
  return [
    valid ? 'valid' : `not valid: the API answers 401 ${explanation.code}`,
    table(
      ['CHECK', 'OUTCOME'],
      CHECKS.map((check, index) => [check, outcome(index)]),
    ),
    ...(claims === undefined ? [] : [JSON.stringify(claims, null, 2)]),
  ].join('\n\n');
}
