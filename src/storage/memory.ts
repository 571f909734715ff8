import { checkKey, checkRange, conditionFailed, notFound } from './keys.ts';
import type { ObjectStore, StoredObject } from './store.ts';

/**
 * A store in memory: for tests, for demos, and as the model of what every driver does.
 * @param now the time of a write, ms since 1970
 */
export function memoryStore(now: () => number = Date.now): ObjectStore {
  const objects = new Map<string, StoredObject & { readonly modified: number }>();
  let version = 0;
  const url = 'memory:';
  const find = (key: string) => {
    const found = objects.get(checkKey(key));
    if (!found) throw notFound(key, url);
    return found;
  };
  return {
    url,
    async get(key, options) {
      options?.signal?.throwIfAborted();
      const { size, etag, body } = find(key);
      return { size, etag, body: body.slice() };
    },
    async getRange(key, start, end, options) {
      options?.signal?.throwIfAborted();
      const { body, size } = find(key);
      checkRange(key, start, end, size);
      return body.slice(start, end);
    },
    async head(key, options) {
      options?.signal?.throwIfAborted();
      const found = objects.get(checkKey(key));
      return found && { size: found.size, etag: found.etag };
    },
    async put(key, body, options) {
      checkKey(key);
      const bytes = body instanceof Uint8Array ? body.slice() : await collect(body, options?.signal);
      options?.signal?.throwIfAborted();
      const present = objects.get(key);
      const condition = options?.condition;
      if (condition === 'absent' ? present : condition && condition.etag !== present?.etag) {
        throw conditionFailed(key, condition ?? 'absent');
      }
      const etag = `m${++version}`;
      objects.set(key, { size: bytes.length, etag, body: bytes, modified: now() });
      return { size: bytes.length, etag };
    },
    async *list(prefix) {
      for (const key of [...objects.keys()].sort()) {
        const found = objects.get(key);
        if (found && key.startsWith(prefix)) yield { key, size: found.size, modified: found.modified };
      }
    },
    async delete(key, options) {
      options?.signal?.throwIfAborted();
      objects.delete(checkKey(key));
    },
  };
}

/** All bytes of a stream. */
export async function collect(body: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    signal?.throwIfAborted();
    chunks.push(chunk);
    size += chunk.length;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
