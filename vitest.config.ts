import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import type { Reporter } from 'vitest/node';

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
});

/** Names the skipped tests, which the default reporter only counts, so that nobody takes them for passed. */
const namesSkipped: Reporter = {
  onTestRunEnd(modules) {
    for (const { children, relativeModuleId } of modules) {
      for (const { fullName } of children.allTests('skipped')) {
        process.stdout.write(`skipped: ${relativeModuleId} > ${fullName}\n`);
      }
    }
  },
};

const reporters = ['default', namesSkipped];

export default defineConfig({
  test: {
    pool: 'forks',
    // Most of the time is spent waiting for processes: leaving a core idle, as is the default, only takes longer.
    maxWorkers: availableParallelism(),
    setupFiles: ['test/support/canaries/plant.ts'],
    reporters: process.env['VITEST_JSON']
      ? [...reporters, ['json', { outputFile: process.env['VITEST_JSON'] }]]
      : reporters,
    projects: [
      project('unit', 30_000),
      project('contract', 30_000),
      project('http', 30_000),
      project('e2e', 120_000),
      project('infra', 120_000),
      project('simulation', 120_000),
      project('reliability', 240_000),
    ],
  },
});
