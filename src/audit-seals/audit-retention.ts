import {
  Inject,
  Injectable,
  Logger,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { AuditPruning } from './audit-pruning.js';

/** Milliseconds. */
const FIRST_AFTER = 60_000;
const EVERY = 3_600_000;

/** Deletes what is older than `AUDIT_RETENTION`. */
@Injectable()
export class AuditRetention implements OnModuleInit, OnModuleDestroy {
  readonly #logger = new Logger('Audit');
  #timer: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();

  constructor(
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly pruning: AuditPruning,
  ) {}

  onModuleInit(): void {
    if (this.config.auditRetention !== undefined) this.#schedule(FIRST_AFTER);
  }

  onModuleDestroy(): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  #schedule(after: number): void {
    this.#timer = setTimeout(() => {
      void this.prune().finally(() => {
        if (!this.#stop.signal.aborted) this.#schedule(EVERY);
      });
    }, after).unref();
  }

  async prune(): Promise<void> {
    try {
      const before = this.clock.now() - (this.config.auditRetention ?? Infinity);
      const rows = await this.pruning.prune(before, 'retention', this.#stop.signal);
      if (rows > 0) this.#logger.log(`${rows} audit rows were older than AUDIT_RETENTION`);
    } catch (error) {
      this.#logger.error(`The audit was not pruned: ${(error as Error).message}`);
    }
  }
}
