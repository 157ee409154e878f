import { rmSync } from 'node:fs';

export default async function stopPostgres() {
  await globalThis.__latchkeyPostgres?.stop();
  rmSync(process.env.TEST_DIRECTORY, { recursive: true, force: true });
}
