// The real application with a clock that can be put forward: what takes hours is over in minutes.
// Only the time of day is stepped; what measures ages goes on as it does.
import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { serve } from '../bench/child.mjs';
import { AppModule } from '../dist/app.module.js';
import { configureApp, createAdapter } from '../dist/app.setup.js';
import { Clock } from '../dist/clock.js';
import { loadConfig, readEnvironment } from '../dist/config/config.js';
import { createLog, NestLog } from '../dist/http/log.js';
import { KeyRotation } from '../dist/keys/key-rotation.js';

class SteppedClock extends Clock {
  ahead = 0;

  now() {
    return super.now() + this.ahead;
  }
}

const clock = new SteppedClock();
const config = loadConfig(readEnvironment());
const log = createLog(config.logLevel);
const testing = await Test.createTestingModule({ imports: [AppModule.for(config)] })
  .overrideProvider(Clock)
  .useValue(clock)
  .compile();
const app = testing.createNestApplication(createAdapter(config), {
  bodyParser: false,
  logger: new NestLog(log.logger),
  abortOnError: false,
});
await configureApp(app, log.logger);
await app.listen(0, '127.0.0.1');

serve(
  {
    /** @param ahead milliseconds by which this process is ahead of the machine's clock */
    step: (ahead) => void (clock.ahead = ahead),
    rotate: () => app.get(KeyRotation, { strict: false }).rotate('chaos'),
  },
  { url: `http://127.0.0.1:${app.getHttpServer().address().port}` },
);
