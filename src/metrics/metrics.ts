import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One registry for the process, as there is one application in it. */
export const registry = new Registry();
const registers = [registry];

export const requests = new Histogram({
  name: 'latchkey_http_request_duration_seconds',
  help: 'Time to answer a request, by route pattern',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10],
  registers,
});

export const logins = new Counter({
  name: 'latchkey_logins_total',
  help: 'Logins by outcome: success, failed, throttled (too many attempts), unavailable',
  labelNames: ['outcome'] as const,
  registers,
});

export const tokensIssued = new Counter({
  name: 'latchkey_tokens_issued_total',
  help: 'Access tokens issued',
  registers,
});

export const refreshes = new Counter({
  name: 'latchkey_refreshes_total',
  help: 'Refreshes by outcome: success, refused, reused (each of which is also refused)',
  labelNames: ['outcome'] as const,
  registers,
});

export const errors = new Counter({
  name: 'latchkey_errors_total',
  help: 'Error answers by their stable code; token_* are the refused tokens',
  labelNames: ['code'] as const,
  registers,
});

export const hashQueue = new Gauge({
  name: 'latchkey_hash_queue_length',
  help: 'Password hashes that run or wait',
  registers,
});

export const databaseErrors = new Counter({
  name: 'latchkey_database_errors_total',
  help: 'Times the database could not answer',
  registers,
});

export const droppedLines = new Counter({
  name: 'latchkey_log_lines_dropped_total',
  help: 'Log lines that were lost because nobody read them',
  registers,
});

/** Memory, processor time and event-loop lag; they cost a little, so only who asks has them. */
export function collectProcessMetrics(): void {
  if (registry.getSingleMetric('process_cpu_seconds_total') === undefined) {
    collectDefaultMetrics({ register: registry });
  }
}
