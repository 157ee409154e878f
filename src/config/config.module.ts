import { type DynamicModule, Module } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from './config.js';

/** The settings and the time. `DatabaseModule`, which is global, passes them on to all. */
@Module({})
export class ConfigModule {
  static for(config: Config): DynamicModule {
    return {
      module: ConfigModule,
      providers: [{ provide: Config, useValue: config }, Clock],
      exports: [Config, Clock],
    };
  }
}
