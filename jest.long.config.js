// The specs that take longest: those that start the programs as processes of their own, many times
// (killed, cut off, damaged, four at once), and those that send thousands of hostile requests.
import base from './jest.config.js';

const e2e = base.projects.find(({ displayName }) => displayName === 'e2e');

export default {
  ...base,
  testTimeout: 60_000,
  projects: [
    {
      ...e2e,
      displayName: 'long',
      testMatch: ['<rootDir>/test/**/*.{process,fuzz}-spec.ts'],
    },
  ],
};
