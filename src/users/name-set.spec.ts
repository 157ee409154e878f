import { NameSet } from './name-set.js';

it('knows every name that was added, beyond its first size', () => {
  const names = new NameSet();
  const added = (): boolean[] => Array.from({ length: 100_000 }, (_, i) => names.add(`user-${i}`));
  expect(new Set(added())).toEqual(new Set([true]));
  expect(new Set(added())).toEqual(new Set([false]));
  expect([names.has('user-0'), names.has('user-99999')]).toEqual([true, true]);
  expect([names.has('another'), names.add('another')]).toEqual([false, true]);
});
