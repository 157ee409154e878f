// The side of a process that the benchmark started: it answers what it is asked.

/**
 * Answers questions of the benchmark by name until the benchmark goes away.
 * @param answers functions of one argument, by name
 * @param hello what the benchmark must know from the start
 */
export function serve(answers, hello = {}) {
  const all = { ...answers, cpu: cpuSeconds };
  process.on('message', async ({ id, name, argument }) => {
    try {
      process.send({ id, answer: await all[name](argument) });
    } catch (error) {
      process.send({ id, failure: error.stack });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send({ hello });
}

/** Seconds of CPU that this process has used, on all its threads. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
