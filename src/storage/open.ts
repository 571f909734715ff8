import { fileURLToPath } from 'node:url';
import { Problem } from '../problem/index.ts';
import { fsStore } from './fs.ts';
import { memoryStore } from './memory.ts';
import type { ObjectStore } from './store.ts';

/**
 * Opens a store by its address: `file:///path` or a plain path, `memory:`, `s3://bucket/prefix`.
 * @throws Problem('invalid-store-url')
 */
export async function openStore(url: string): Promise<ObjectStore> {
  if (url === 'memory:') return memoryStore();
  if (url.startsWith('s3://')) {
    // The SDK takes a third of a second to load: only those pay who use it.
    const { s3StoreFromUrl } = await import('./s3.ts');
    return s3StoreFromUrl(url);
  }
  if (url.startsWith('file:')) return fsStore(fileURLToPath(url));
  if (url === '' || /^[a-z][a-z0-9+.-]+:/i.test(url)) {
    throw new Problem(
      'invalid-store-url',
      `"${url}" is not a store. Use a folder, file:///path, s3://bucket/prefix or memory:, for example --store s3://my-bucket/models.`,
    );
  }
  return fsStore(url);
}
