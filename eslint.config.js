import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Each way to the thing is named with where it belongs, since that is the fix. */
const ENVIRONMENT = {
  object: 'process',
  property: 'env',
  message: 'Settings are read in src/config alone: inject Config.',
};
const RANDOM = {
  object: 'Math',
  property: 'random',
  message: 'It can be predicted: use node:crypto.',
};
const NOW = {
  object: 'Date',
  property: 'now',
  message: 'Tests freeze the time: inject Clock.',
};
const NOW_BY_OTHER_NAMES = [
  {
    selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
    message: NOW.message,
  },
  { selector: 'CallExpression[callee.name="Date"]', message: NOW.message },
];
const DTO_AS_TYPE = [
  'ImportDeclaration[importKind="type"][source.value=/\\.dto\\.js$/]',
  'ImportDeclaration[source.value=/\\.dto\\.js$/] > ImportSpecifier[importKind="type"]',
].map((selector) => ({
  selector,
  message: 'A body whose class is gone at run time is not validated: import the DTO as a value.',
}));

/** What the plain JavaScript here may use: Node's own names, whichever version runs the linter. */
const NODE = Object.fromEntries(
  Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']),
);

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'data/', '.cache/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    rules: {
      'array-callback-return': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'for-direction': 'error',
      'no-async-promise-executor': 'error',
      'no-compare-neg-zero': 'error',
      'no-cond-assign': 'error',
      'no-constant-binary-expression': 'error',
      'no-constant-condition': 'error',
      'no-control-regex': 'error',
      'no-debugger': 'error',
      'no-dupe-else-if': 'error',
      'no-duplicate-case': 'error',
      'no-empty': 'error',
      'no-empty-character-class': 'error',
      'no-eval': 'error',
      'no-fallthrough': 'error',
      'no-irregular-whitespace': 'error',
      'no-loss-of-precision': 'error',
      'no-misleading-character-class': 'error',
      'no-new-func': 'error',
      'no-prototype-builtins': 'error',
      'no-self-assign': 'error',
      'no-self-compare': 'error',
      'no-sparse-arrays': 'error',
      'no-template-curly-in-string': 'error',
      'no-unmodified-loop-condition': 'error',
      'no-unreachable': 'error',
      'no-unreachable-loop': 'error',
      'no-unsafe-finally': 'error',
      'no-unused-labels': 'error',
      'no-useless-catch': 'error',
      'no-useless-escape': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'require-yield': 'error',
      'use-isnan': 'error',
      'valid-typeof': 'error',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { globals: NODE },
    rules: {
      'no-undef': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
    },
  },
  { files: ['**/*.cjs'], languageOptions: { sourceType: 'commonjs' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-unnecessary-condition': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // Kysely's builders are made to be taken apart: ({ eb, or, ref }) => ...
      '@typescript-eslint/unbound-method': 'off',
      // Whatever was caught is passed on as it is.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true }],
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  {
    files: ['**/*.spec.ts', '**/*-spec.ts'],
    rules: {
      // What beforeAll assigns is not there when it failed.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // expect.any() and its like are of type any, and stand in the midst of typed values.
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  {
    files: ['test/browser/**/*.ts'],
    // What runs in the page has types of the browser's, which this program does not know.
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error', ENVIRONMENT, RANDOM, NOW],
      'no-restricted-syntax': ['error', ...NOW_BY_OTHER_NAMES, ...DTO_AS_TYPE],
      'no-restricted-imports': [
        'error',
        { name: 'node:process', message: ENVIRONMENT.message },
        { name: 'process', message: ENVIRONMENT.message },
        {
          name: '@nestjs/common',
          importNames: ['forwardRef'],
          message: 'Two modules that need each other are one module, or hide a third.',
        },
      ],
    },
  },
  {
    files: ['src/config/**/*.ts'],
    rules: { 'no-restricted-properties': ['error', RANDOM, NOW] },
  },
  {
    files: [
      'src/clock.ts',
      // Waits for another process's lock in real time, also where a test froze the other one.
      'src/database/sqlite.ts',
      // Compares with the times of files, which are the machine's.
      'src/database/lost-log.ts',
      // Measures how far this machine's clock is from the database's.
      'src/revocation/revocation-reader.ts',
    ],
    rules: { 'no-restricted-properties': ['error', ENVIRONMENT, RANDOM] },
  },
  {
    // Tests measure real time, and take their database from the environment.
    files: ['src/**/*.spec.ts'],
    rules: {
      'no-restricted-properties': ['error', RANDOM],
      'no-restricted-syntax': ['error', ...DTO_AS_TYPE],
    },
  },
);
