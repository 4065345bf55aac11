import { defineConfig } from 'vitest/config';

const resolve = { conditions: ['source'] };
const ssr = { resolve: { conditions: ['source', 'node', 'import', 'default'] } };
/** What global setups are loaded in: it would otherwise leave our own packages to Node, which finds them only once they are built. */
const environments = { __vitest__: { resolve: { ...ssr.resolve, noExternal: [/^@restante\//] } } };

/**
 * unit: pure, no engine. integration: on engines that one global setup starts for the whole run. e2e: each file starts
 * what it needs by the launcher, one file at a time, for it measures nothing but the machine has two cores.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          // None is slow; a machine that does much else may be.
          testTimeout: 30_000,
          include: [
            '*/src/**/*.test.ts',
            'e2e/model/**/*.test.ts',
            'e2e/faults/**/*.test.ts',
            'e2e/fuzz/*.test.ts',
            'e2e/*-page.test.ts',
          ],
          exclude: ['**/*.int.test.ts', '**/*.e2e.test.ts', '**/node_modules/**'],
        },
      },
      {
        resolve,
        ssr,
        environments,
        test: {
          name: 'integration',
          include: ['*/src/**/*.int.test.ts'],
          globalSetup: ['e2e/support/engines-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        ssr,
        environments,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.e2e.test.ts'],
          globalSetup: ['e2e/support/build-setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
