/**
 * Who may import whom: docs/architecture.md in a form that is checked. Each layer lists what it
 * may import, so that what is new is forbidden until somebody decides. Types count: a type that
 * points upwards ties two layers together as much as a call does.
 */
const file = (...names) => `^src/(${names.join('|')})\\.ts$`;
const folder = (...names) => `^src/(${names.join('|')})/`;

const LEAF_FILES = file('errors', 'clock', 'roles', 'rfc-3339', 'strict-json');
const METRICS = folder('metrics');
const LEAVES = [LEAF_FILES, METRICS];

// The domain, from the bottom to the top.
const CONFIG = folder('config');
const DATABASE = folder('database');
const AUDIT = folder('audit');
const KEYS = folder('keys');
const REVOCATION = folder('revocation');
const MIDDLE = ['audit-seals', 'passwords', 'throttle', 'sessions', 'api-tokens', 'tokens'];
const USERS = folder('users');

const HTTP = folder('http');
const AUTH = folder('auth');
const CLI = folder('cli');

/** Every other folder holds routes: one that a newcomer adds is under the rules from its start. */
const PLACED = ['metrics', 'config', 'database', 'audit', 'keys', 'revocation', ...MIDDLE];
const ROUTES = `^src/(?!(?:${[...PLACED, 'users', 'http', 'auth', 'cli'].join('|')})/)([^/]+)/`;

const ENTRANCE = `${file('main', 'server', 'cli', 'welcome', 'app\\.module', 'app\\.setup')}|${CLI}`;
const SPECS = '\\.spec\\.ts$';

/** What is in `from` imports, of all there is in `src`, only what is in `allowed`. */
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: '^src/', pathNot: allowed },
});

const UP_TO_DATABASE = [...LEAVES, CONFIG, DATABASE];
const UP_TO_KEYS = [...UP_TO_DATABASE, AUDIT, KEYS];
const UP_TO_REVOCATION = [...UP_TO_KEYS, REVOCATION];
const DOMAIN = [...UP_TO_REVOCATION, folder(...MIDDLE), USERS];

export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    only('leaves-import-nothing', LEAF_FILES, []),
    only('metrics-import-nothing', METRICS, [METRICS]),
    only('config-imports-leaves', CONFIG, [...LEAVES, CONFIG]),
    only('database-imports-config', DATABASE, UP_TO_DATABASE),
    only('audit-imports-database', AUDIT, [...UP_TO_DATABASE, AUDIT]),
    only('keys-import-audit-and-below', KEYS, UP_TO_KEYS),
    only('revocation-imports-keys-and-below', REVOCATION, UP_TO_REVOCATION),
    // Neither each other nor users.
    ...MIDDLE.map((name) =>
      only(`${name}-import-revocation-and-below`, folder(name), [
        ...UP_TO_REVOCATION,
        folder(name),
      ]),
    ),
    only('users-import-the-domain', USERS, DOMAIN),
    only('http-imports-leaves-and-config', HTTP, [...LEAVES, CONFIG, HTTP]),
    only('auth-imports-domain-and-http', AUTH, [...DOMAIN, HTTP, AUTH]),
    // A second way in, not a second door: no routes, no guards, no passport.
    only('the-command-line-imports-the-domain', [file('cli'), CLI], [...DOMAIN, CLI]),
    only('routes-import-no-other-routes', ROUTES, [...DOMAIN, HTTP, AUTH, '^src/$1/']),
    {
      name: 'only-app-module-imports-routes',
      comment: 'Every module is visible in app.module.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/app\\.module\\.ts$', ROUTES] },
      // The signal is caught in server.ts, and /health/ready has to know of it.
      to: { path: ROUTES, pathNot: '^src/health/draining\\.ts$' },
    },
    {
      name: 'only-the-server-says-that-it-drains',
      comment: 'The exception to the rule above is one for server.ts alone.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/server\\.ts$', '^src/health/'] },
      to: { path: '^src/health/draining\\.ts$' },
    },
    {
      name: 'nobody-imports-the-entrance',
      comment: 'Except the two ways in, and the tests.',
      severity: 'error',
      from: { path: '^src/', pathNot: [file('server', 'cli'), CLI, SPECS] },
      to: { path: ENTRANCE },
    },
    {
      name: 'src-imports-no-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: SPECS },
      to: { path: `^(test|bench|chaos)/|${SPECS}` },
    },
    {
      name: 'src-imports-no-dev-dependencies',
      comment: '`npm ci --omit=dev` would leave them out.',
      severity: 'error',
      from: { path: '^src/', pathNot: SPECS },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'imports-resolve',
      comment: 'What is not found is not checked either. The build may not be there yet.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '/dist/' },
    },
    {
      name: 'imports-are-in-package-json',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^dist/'] },
    // Imports of types alone, which are gone after compilation.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      // TypeScript first: http/docs has a docs.ts beside a docs.mjs.
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
