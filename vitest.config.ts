import { defineConfig } from 'vitest/config';

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
});

export default defineConfig({
  test: {
    pool: 'forks',
    // Skipped tests are named, so that nobody takes them for passed.
    reporters: process.env['VITEST_JSON']
      ? ['default', ['json', { outputFile: process.env['VITEST_JSON'] }]]
      : ['default'],
    projects: [
      project('unit', 10_000),
      project('contract', 30_000),
      project('http', 30_000),
      project('e2e', 120_000),
      project('infra', 60_000),
    ],
  },
});
