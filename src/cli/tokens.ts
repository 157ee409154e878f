import { type Explanation, TokenExplainer } from '../tokens/explain.js';
import { CHECKS } from '../tokens/fault.js';
import { inDomain } from './context.js';
import { readStandardInput } from './input.js';
import { type OutputOptions, print, table } from './output.js';

/** @param argument the token, or `-` */
export function explain(argument: string, options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const token = argument === '-' ? await readStandardInput() : argument;
    const explanation = await domain.get(TokenExplainer).explain(token);
    print(options, explanation, describe(explanation));
    if (!explanation.valid) process.exitCode = 1;
  });
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
