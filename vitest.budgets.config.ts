import { defineConfig } from 'vitest/config';

/** Predictions against measured times: alone on the machine, since tests beside it would be part of what it measures. */
export default defineConfig({
  test: { include: ['test/serving/budgets.test.ts'], testTimeout: 120_000, maxWorkers: 1 },
});
