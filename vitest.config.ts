import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import type { Reporter } from 'vitest/node';

const project = (name: string, testTimeout: number, { retry = 0 } = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout, retry },
});

/**
 * Tests of real processes share CI's machine with whatever else it does: there they have a second try, and .ci/run prints each that
 * needed it, with what the first one met. What is pure has no such excuse.
 */
const onRealMachine = { retry: process.env['CI'] ? 1 : 0 };

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
      project('contract', 30_000, onRealMachine),
      project('http', 30_000, onRealMachine),
      project('e2e', 120_000, onRealMachine),
      project('infra', 120_000, onRealMachine),
      project('simulation', 120_000),
      project('reliability', 240_000, onRealMachine),
    ],
  },
});
