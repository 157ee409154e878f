import { Injectable } from '@nestjs/common';

/** Whether the process was told to stop: from then on it is not ready for new work. */
@Injectable()
export class Draining {
  begun = false;
}
