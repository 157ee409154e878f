import { HashQueue } from './hash-queue.js';

const login = (address: string) => ({ address, purpose: 'login' as const });
const registration = (address: string) => ({ address, purpose: 'registration' as const });
const BUSY = expect.objectContaining({ code: 'busy', details: { retryAfter: 2 } });

/** Work that ends when it is told to. */
function held() {
  let finish!: () => void;
  const done = new Promise<void>((resolve) => (finish = resolve));
  return { work: () => done, finish };
}

it('runs as many at once as it may, in the order they came', async () => {
  const queue = new HashQueue(2, 100);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const work = (index: number) => async () => {
    order.push(index);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => queue.run(login(`${i}`), work(i))));
  expect(most).toBe(2);
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(queue.length).toBe(0);
});

it('goes from address to address, so that one that sends much delays another by one hash', async () => {
  const queue = new HashQueue(1, 100);
  const order: string[] = [];
  const { work, finish } = held();
  const running = queue.run(login('a'), work);
  const waiting = ['a1', 'a2', 'a3', 'b1', 'a4', 'c1', 'b2'].map((name) =>
    queue.run(login(name[0]!), () => Promise.resolve(order.push(name))),
  );
  finish();
  await Promise.all([running, ...waiting]);
  expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
});

it('refuses what does not fit, at once', async () => {
  const queue = new HashQueue(1, 8);
  const { work, finish } = held();
  const accepted = Array.from({ length: 8 }, (_, i) => queue.run(login(`${i}`), work));
  await expect(queue.run(login('late'), work)).rejects.toEqual(BUSY);
  finish();
  await Promise.all(accepted);
  await queue.run(login('late'), () => Promise.resolve());
});

it('gives one address a quarter, and all registrations together a quarter', async () => {
  const queue = new HashQueue(1, 8);
  const { work, finish } = held();
  const accepted = [queue.run(login('a'), work), queue.run(login('a'), work)];
  await expect(queue.run(login('a'), work)).rejects.toEqual(BUSY);
  accepted.push(queue.run(registration('b'), work), queue.run(registration('c'), work));
  await expect(queue.run(registration('d'), work)).rejects.toEqual(BUSY);
  accepted.push(queue.run(login('d'), work));
  finish();
  await Promise.all(accepted);
});

it('frees the place of work that failed', async () => {
  const queue = new HashQueue(1, 4);
  for (let times = 0; times < 10; times++) {
    const failing = queue.run(login('a'), () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
  }
  expect(queue.length).toBe(0);
  await queue.run(login('a'), () => Promise.resolve());
});

it('refuses whose turn does not come, and gives the place to the next', async () => {
  const queue = new HashQueue(1, 100, 50);
  const { work, finish } = held();
  const first = queue.run(login('first'), work);
  await expect(queue.run(login('waiting'), work)).rejects.toEqual(BUSY);
  expect(queue.length).toBe(1);
  const next = ['other', 'waiting'].map((address) =>
    queue.run(login(address), () => Promise.resolve(address)),
  );
  finish();
  await first;
  expect(await Promise.all(next)).toEqual(['other', 'waiting']);
  expect(queue.length).toBe(0);
});
