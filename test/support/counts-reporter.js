import { appendFileSync } from 'node:fs';

/** Ends a run with its counts alone on a line, and adds them to `COUNTS_FILE` for the CI script. */
export default class CountsReporter {
  onRunComplete(
    _contexts,
    { numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites },
  ) {
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : '';
    const { COUNTS_FILE } = process.env;
    if (COUNTS_FILE)
      appendFileSync(COUNTS_FILE, `${numPassedTests} ${failed} ${numPendingTests}\n`);
    process.on('exit', () => console.log(`${numPassedTests} passed, ${failed} failed${skipped}`));
  }
}
