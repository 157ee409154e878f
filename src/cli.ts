import 'reflect-metadata';
import { CommanderError } from 'commander';
import { commands } from './cli/commands.js';
import { printableLines } from './cli/output.js';

/** Exit codes. */
const FAILED = 1;
const WRONG_USAGE = 2;

// Whoever reads may stop reading: `users list | head -1`.
process.stdout.on('error', () => process.exit(FAILED));

try {
  await commands().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  } else {
    const { describeFailure } = await import('./cli/failure.js');
    process.stderr.write(`${printableLines(describeFailure(error))}\n`);
    // A start that failed halfway may have left connections open.
    process.exit(FAILED);
  }
}
