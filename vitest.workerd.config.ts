import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cloudflareTest } from '@cloudflare/vitest-pool-workers';
import { defineConfig } from 'vitest/config';
import { WORKERD_STORE } from './test/workerd/store-folder.ts';

/** A file of the store that the global setup has made, or of `assets`, for the tests inside workerd, which has no disk. */
async function storeFile(request: Request): Promise<Response> {
  const path = decodeURIComponent(new URL(request.url).pathname);
  try {
    const root = path.startsWith('/sample-images/') ? join(import.meta.dirname, 'assets') : WORKERD_STORE;
    return new Response(await readFile(join(root, path)));
  } catch {
    return new Response(null, { status: 404 });
  }
}

/** The Worker in workerd, the runtime of Cloudflare, on miniflare's R2. */
export default defineConfig({
  plugins: [
    cloudflareTest({
      main: './functions/gateway.worker.ts',
      wrangler: { configPath: './deploy/wrangler.jsonc' },
      miniflare: { serviceBindings: { FILES: storeFile } },
    }),
  ],
  test: {
    include: ['test/workerd/**/*.test.ts'],
    globalSetup: ['test/workerd/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 240_000,
    maxWorkers: 1,
  },
});
