// The least that a login costs: comparing one password with one hash, as many at once as cores.
import { availableParallelism } from 'node:os';
import { hash, verify } from '@node-rs/argon2';
import { serve } from './child.mjs';

const PASSWORD = 'quiet river under seven moons';
const stored = await hash(PASSWORD, { memoryCost: 19_456, timeCost: 2, parallelism: 1 });

/** How many comparisons a second this core (or these) can do. */
async function rate({ seconds }) {
  const from = performance.now();
  const until = from + seconds * 1000;
  let count = 0;
  const one = async () => {
    while (performance.now() < until) {
      if (!(await verify(stored, PASSWORD))) throw new Error('The password should match');
      count++;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  return count / ((performance.now() - from) / 1000);
}

serve({ rate });
