import { Controller, Get, Header } from '@nestjs/common';
import { Public } from '../auth/public.js';
import { Config } from '../config/config.js';
import { notFound } from '../errors.js';
import { registry } from '../metrics/metrics.js';

@Public()
@Controller('metrics')
export class MetricsController {
  constructor(private readonly config: Config) {}

  /** Prometheus text, while `METRICS=open`: keep it off the public network. */
  @Get()
  @Header('content-type', registry.contentType)
  read(): Promise<string> {
    if (!this.config.metrics) throw notFound();
    return registry.metrics();
  }
}
