import { createHash } from 'node:crypto';
import { Problem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { ModelFiles } from '../vit/index.ts';

/** Read at a time when a whole object is hashed. */
const CHUNK_BYTES = 32 * 2 ** 20;

/** The files of a model in an object store; ranges are read as they are needed. */
export function storeFiles(store: ObjectStore, signal?: AbortSignal): ModelFiles {
  const options = signal ? { signal } : {};
  return {
    name: store.url,
    async list() {
      const names: string[] = [];
      for await (const { key } of store.list('', options)) if (!key.includes('/')) names.push(key);
      return names;
    },
    async open(file) {
      const info = await store.head(file, options);
      if (!info) throw new Problem('object-not-found', `${store.url} has no ${file}.`, { key: file });
      const read = async (start: number, end: number) =>
        end > start ? await store.getRange(file, start, end, options) : new Uint8Array();
      return {
        name: `${store.url}/${file}`,
        size: info.size,
        read,
        async sha256() {
          const hash = createHash('sha256');
          for (let at = 0; at < info.size; at += CHUNK_BYTES) {
            hash.update(await read(at, Math.min(info.size, at + CHUNK_BYTES)));
          }
          return hash.digest('hex');
        },
      };
    },
  };
}
