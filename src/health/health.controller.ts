import { Controller, Get } from '@nestjs/common';
import { sql } from 'kysely';
import { Public } from '../auth/public.js';
import { Database } from '../database/database.js';
import { unavailable } from '../errors.js';
import { Keyring } from '../keys/keyring.js';
import { Revocations } from '../revocation/revocations.js';
import { Draining } from './draining.js';
import { HealthDto } from './health.dto.js';

/** For load balancers and supervisors. */
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
    private readonly revocations: Revocations,
    private readonly draining: Draining,
  ) {}

  /** The process answers. When this fails, restart it. */
  @Get('live')
  live(): HealthDto {
    return { status: 'ok' };
  }

  /** Requests can be served: the database answers, keys and revocations are up to date. */
  @Get('ready')
  async ready(): Promise<HealthDto> {
    if (this.draining.begun) throw unavailable('busy', 1);
    if (!this.keyring.fresh || !this.revocations.fresh) throw unavailable('state_stale', 1);
    await sql`select 1`.execute(this.db);
    return { status: 'ok' };
  }
}
