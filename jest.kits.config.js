// The specs of the verifier kits in examples/: they need Debian's Python packages (see .ci/run).
import base from './jest.config.js';

const { globalSetup, globalTeardown, ...e2e } = base.projects.find(
  ({ displayName }) => displayName === 'e2e',
);

export default {
  ...base,
  projects: [
    {
      ...e2e,
      displayName: 'kits',
      testMatch: ['<rootDir>/test/kits/**/*.kits-spec.ts'],
    },
  ],
};
