/**
 * Copies a store into the R2 bucket that `wrangler dev` has on this machine, all objects in one process:
 * `node deploy/worker-upload.ts --store ./models [--persist-to .wrangler/state]`
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { getPlatformProxy } from 'wrangler';
import { r2Store } from '../src/storage/index.ts';
import { openStore } from '../src/storage/node.ts';

const CONFIG = join(import.meta.dirname, 'wrangler.jsonc');

/** @returns how many objects were copied */
export async function uploadToLocalBucket(url: string, persistTo: string): Promise<number> {
  const store = await openStore(url);
  const { env, dispose } = await getPlatformProxy<{ MODELS: Parameters<typeof r2Store>[0]['bucket'] }>({
    configPath: CONFIG,
    // Where wrangler itself looks below --persist-to.
    persist: { path: join(persistTo, 'v3') },
  });
  try {
    const bucket = r2Store({ bucket: env.MODELS });
    let copied = 0;
    for await (const { key } of store.list('')) {
      const { body } = await store.get(key);
      await bucket.put(key, body);
      copied++;
    }
    return copied;
  } finally {
    await dispose();
  }
}

if (import.meta.main) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { store: text, 'persist-to': text } });
  const { store = './models', 'persist-to': persistTo = '.wrangler/state' } = values;
  process.stdout.write(`${await uploadToLocalBucket(store, persistTo)} objects copied\n`);
}
