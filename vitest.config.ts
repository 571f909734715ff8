import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      'test/s3/**',
      'test/browser/**',
      'test/workerd/**',
      'test/webgpu/**',
      'test/clients/**',
      'test/serving/budgets.test.ts',
      '**/node_modules/**',
    ],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Sessions of ONNX Runtime are native and heavy: one file at a time per core, in processes of their own.
    pool: 'forks',
    maxWorkers: 2,
  },
});
