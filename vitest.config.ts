import { defineConfig } from 'vitest/config'

/** What is waited for comes at once; this bound, in milliseconds, is for machines that are busy with something else. */
const expected = { poll: { timeout: 15_000, interval: 20 } }

/** Suites that need a browser, a gateway or minutes of load are projects of their own, so `npm test` stays short. */
export default defineConfig({
  test: {
    // All cores: by default one stays free, which on a machine with two doubles the time.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{bin,shared,oauth-agent,oauth-proxy,spa-client,spa-example,attacks,fuzz,house}/**/*.test.ts'],
          // Files share a worker's modules: nothing here has state of its own, and loading it anew costs more than the tests.
          isolate: false,
          globalSetup: 'test/support/run-folder.ts',
          expect: expected,
          // No test waits for time; this bound is for machines that are busy with something else.
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          expect: expected,
          testTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          expect: expected,
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'engines',
          include: ['test/engines/**/*.test.ts'],
          expect: expected,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'gateways',
          include: ['test/gateways/**/*.test.ts'],
          expect: expected,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'keycloak',
          include: ['test/interop/keycloak.test.ts'],
          expect: expected,
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'spring',
          include: ['test/interop/spring.test.ts'],
          expect: expected,
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
