// The specs that start the programs as processes of their own, many times: killed, cut off, damaged,
// four at once. They take longer than all the others.
import base from './jest.config.js';

const e2e = base.projects.find(({ displayName }) => displayName === 'e2e');

export default {
  ...base,
  testTimeout: 60_000,
  projects: [
    {
      ...e2e,
      displayName: 'processes',
      testMatch: ['<rootDir>/test/**/*.process-spec.ts'],
    },
  ],
};
