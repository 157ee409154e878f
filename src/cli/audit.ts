import { AuditPruning } from '../audit-seals/audit-pruning.js';
import {
  AuditVerification,
  type Head,
  type VerifiedAudit,
} from '../audit-seals/audit-verification.js';
import { Clock } from '../clock.js';
import { seconds } from '../config/duration.js';
import { inDomain } from './context.js';
import { type OutputOptions, print, utc } from './output.js';
import { progress } from './progress.js';

export interface VerifyOptions extends OutputOptions {
  expect?: string;
}

export interface PruneOptions extends OutputOptions {
  olderThan: string;
}

export function verify(options: VerifyOptions): Promise<void> {
  const expected = options.expect === undefined ? undefined : head(options.expect);
  return inDomain(async (domain) => {
    const clock = domain.get(Clock);
    const verification = domain.get(AuditVerification);
    const all = await verification.count();
    const tell = progress(() => clock.monotonic());
    const verdict = await verification.verify(expected, (rows) =>
      tell(() => `${rows} of ${all} rows`),
    );
    if (verdict.intact) {
      const { head, unsealed, ...rest } = verdict.audit;
      const since = unsealed.since === undefined ? null : utc(unsealed.since);
      const shown = { intact: true, ...rest, head: head ?? null, unsealed: { ...unsealed, since } };
      print(options, shown, describe(verdict.audit));
    } else {
      const { message, at } = verdict.fault;
      print(options, { intact: false, fault: message, ...at }, `NOT intact: ${message}`);
      process.exitCode = 1;
    }
  });
}

function describe(audit: VerifiedAudit): string {
  const { rows, seals, pruned, head, expectedIsPruned, unsealed } = audit;
  return [
    `intact: ${rows} rows under ${seals} seals` +
      (pruned === 0 ? '' : `, after ${pruned} rows that were deleted by age`),
    ...(head === undefined ? [] : [`head: ${head.seal}:${head.mac}`]),
    ...(expectedIsPruned
      ? ['The expected seal is older than what is kept, so it was not compared.']
      : []),
    ...(unsealed.since === undefined
      ? []
      : [`not sealed yet: ${unsealed.rows} rows, the first of ${utc(unsealed.since)}`]),
  ].join('\n');
}

export function prune(options: PruneOptions): Promise<void> {
  return inDomain(async (domain) => {
    const before = domain.get(Clock).now() - seconds(options.olderThan) * 1000;
    const rows = await domain.get(AuditPruning).prune(before, 'cli');
    print(options, { pruned: rows }, `${rows} audit rows deleted`);
  });
}

/** @param text as the server logs it */
function head(text: string): Head {
  const [seal = '', mac = ''] = text.split(':');
  return { seal: Number(seal), mac };
}
