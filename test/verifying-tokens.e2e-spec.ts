import { readdirSync, readFileSync } from 'node:fs';

const PAGE = readFileSync('docs/verifying-tokens.md', 'utf8');

/** Each file that the page shows, by the link above its block. */
const SHOWN = new Map(
  [...PAGE.matchAll(/^\[(examples\/\S+)\]\(\.\.\/\1\):\n\n```\w+\n([^]*?)^```$/gm)].map(
    ([, path, code]) => [path!, code],
  ),
);

const FILES = ['typescript', 'python'].flatMap((language) =>
  readdirSync(`examples/${language}`)
    .filter((name) => /\.(ts|py)$/.test(name))
    .map((name) => `examples/${language}/${name}`),
);

it.each(FILES)('the page on verifying tokens shows %s as it is', (path) => {
  expect(SHOWN.get(path)).toBe(readFileSync(path, 'utf8'));
});

it('the page on verifying tokens shows no other file', () => {
  expect([...SHOWN.keys()].toSorted()).toEqual(FILES.toSorted());
});
