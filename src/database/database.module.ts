import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { Config } from '../config/config.js';
import { ConfigModule } from '../config/config.module.js';
import { Database, POLLING } from './database.js';
import { openDatabase, openForPolling } from './open.js';

/** The database, and with it the settings and the clock, for every module. */
@Global()
@Module({})
export class DatabaseModule implements OnApplicationShutdown {
  constructor(
    @Inject(Database) private readonly db: Database,
    @Inject(POLLING) private readonly polling: Database,
  ) {}

  static for(config: Config): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [ConfigModule.for(config)],
      providers: [
        { provide: Database, inject: [Config], useFactory: openDatabase },
        { provide: POLLING, inject: [Config, Database], useFactory: openForPolling },
      ],
      exports: [ConfigModule, Database, POLLING],
    };
  }

  /** After the last request in flight has been answered. */
  async onApplicationShutdown(): Promise<void> {
    if (this.polling !== this.db) await this.polling.destroy();
    await this.db.destroy();
  }
}
