const EVERY = 1_000;

/**
 * Tells on standard error how far work has come that takes longer than a second, once a second.
 * @param monotonic milliseconds since some moment
 * @returns to be called with every piece of work that is done
 */
export function progress(monotonic: () => number): (describe: () => string) => void {
  let next = monotonic() + EVERY;
  return (describe) => {
    if (monotonic() < next) return;
    process.stderr.write(`${describe()}\n`);
    next = monotonic() + EVERY;
  };
}
