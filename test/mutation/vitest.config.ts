import { defineConfig } from 'vitest/config';

/** The tests that mutants of a folder are judged by: `run.ts` names them. */
export default defineConfig({
  test: {
    include: JSON.parse(process.env.CONCERTINA_JUDGES ?? '[]'),
    exclude: ['**/node_modules/**', 'test/serving/budgets.test.ts'],
    testTimeout: 20_000,
  },
});
