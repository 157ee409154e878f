// The specs that drive a real browser: like the e2e specs, but on SQLite alone.
import base from './jest.config.js';

const { globalSetup, globalTeardown, ...e2e } = base.projects.find(
  ({ displayName }) => displayName === 'e2e',
);

export default {
  ...base,
  maxWorkers: 1,
  testTimeout: 60_000,
  projects: [
    {
      ...e2e,
      displayName: 'browser',
      testMatch: ['<rootDir>/test/browser/**/*.browser-spec.ts'],
    },
  ],
};
