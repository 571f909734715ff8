import { defineConfig } from 'vitest/config';

/** Tests against a real S3 server (Ceph RADOS Gateway), skipped by name where it is not installed. */
export default defineConfig({
  test: {
    include: ['test/s3/**/*.test.ts', 'test/faults/storage/**/*.test.ts'],
    globalSetup: ['test/s3/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 1,
  },
});
