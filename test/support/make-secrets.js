// Makes the secrets 0 to 49 in FOLDER, each at a moment that every process knows: from AT (epoch
// milliseconds) on, one every 10 ms. Prints what it read.
import { join } from 'node:path';
import { secretBesideDatabase } from '../../dist/keys/root-secret.js';

const { FOLDER, AT } = process.env;
for (let i = 0; i < 50; i++) {
  // Sleeping would spread the processes out.
  while (Date.now() < Number(AT) + i * 10);
  process.stdout.write(`${secretBesideDatabase(join(FOLDER, String(i)), true)}\n`);
}
