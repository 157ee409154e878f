// Unit specs run from src; everything else runs against the modules of the build (the OpenAPI
// document, for one, exists only there), and what starts the program against its bundle.
const typescript = {
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: {
        parser: { syntax: 'typescript', decorators: true },
        transform: {
          legacyDecorator: true,
          decoratorMetadata: true,
          useDefineForClassFields: false,
        },
        target: 'es2023',
      },
      module: { type: 'es6' },
    },
  ],
};

const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: typescript,
  resolver: '<rootDir>/test/support/resolver.cjs',
  setupFiles: ['reflect-metadata'],
};

export default {
  maxWorkers: 2,
  testTimeout: 30_000,
  reporters: ['default', './test/support/counts-reporter.js'],
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/src/**/*.spec.ts'],
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/test/**/*.e2e-spec.ts'],
      moduleNameMapper: { '^(?:\\.{1,2}/)+src/(.*)\\.js$': '<rootDir>/dist/$1.js' },
      globalSetup: './test/support/start-postgres.js',
      globalTeardown: './test/support/stop-postgres.js',
    },
  ],
};
