import passport from 'passport';

const STRATEGIES = ['jwt', 'local'] as const;

/**
 * passport keeps its strategies in one object for the whole process: those of a second application
 * would silently replace those of the first, which would then check with the other's keys.
 *
 * @throws Error while an application that was not closed has the strategy
 */
export function refuseSecondApplication(name: (typeof STRATEGIES)[number]): void {
  const registry = passport as unknown as { _strategy(name: string): unknown };
  if (registry._strategy(name) !== undefined) {
    throw new Error('Only one application can run in a process: close the other one first.');
  }
}

/** Makes room for the next application in this process. */
export function releasePassport(): void {
  for (const name of STRATEGIES) passport.unuse(name);
}
