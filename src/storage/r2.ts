import { isProblem, Problem } from '../problem/index.ts';
import { checkKey, checkRange, conditionFailed, notFound } from './keys.ts';
import { collect } from './memory.ts';
import type { ObjectInfo, ObjectStore, ReadOptions, WriteOptions } from './store.ts';

/** What this driver uses of a Workers binding to an R2 bucket; Cloudflare's own `R2Bucket` has this shape. */
export interface R2Binding {
  head(key: string): Promise<R2Head | null>;
  get(key: string, options?: { range: { offset: number; length: number } }): Promise<R2Body | null>;
  /** @returns null when the condition does not hold */
  put(
    key: string,
    value: Uint8Array,
    options?: {
      onlyIf?: { etagMatches: string } | { etagDoesNotMatch: string };
      httpMetadata?: { contentType: string };
    },
  ): Promise<R2Head | null>;
  list(options: { prefix: string; cursor?: string }): Promise<R2Page>;
  delete(key: string): Promise<void>;
}

export interface R2Head {
  readonly key: string;
  /** Of the whole object, also when a range of it was asked for. */
  readonly size: number;
  readonly etag: string;
  readonly uploaded: Date;
}

export interface R2Body extends R2Head {
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface R2Page {
  readonly objects: readonly R2Head[];
  readonly truncated: boolean;
  readonly cursor?: string;
}

export interface R2StoreOptions {
  readonly bucket: R2Binding;
  /** Keys start with this, without a slash at either end. */
  readonly prefix?: string;
}

/** Tries of a read that fails for a reason of R2's. */
const READ_ATTEMPTS = 3;
/** R2's number of "the requested range is not satisfiable". */
const UNSATISFIABLE = '(10039)';

/** Objects in an R2 bucket, through the binding that a Worker is given. A body is held in memory while it is written. */
export function r2Store({ bucket, prefix }: R2StoreOptions): ObjectStore {
  const base = prefix ? `${prefix}/` : '';
  const url = `r2:${prefix ?? ''}`;
  const full = (key: string) => base + checkKey(key);

  async function head(key: string, options?: ReadOptions): Promise<ObjectInfo | undefined> {
    const name = full(key);
    const found = await attempt(url, READ_ATTEMPTS, options, () => bucket.head(name));
    return found ? { size: found.size, etag: found.etag } : undefined;
  }

  return {
    url,
    head,
    async get(key, options) {
      const name = full(key);
      return await attempt(url, READ_ATTEMPTS, options, async () => {
        const found = await bucket.get(name);
        if (!found) throw notFound(key, url);
        const { size, etag } = found;
        return { size, etag, body: whole(await found.arrayBuffer(), size) };
      });
    },
    async getRange(key, start, end, options) {
      const name = full(key);
      // What is no range at all, or an empty one, is not R2's to judge.
      if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end)) {
        const info = await head(key, options);
        if (!info) throw notFound(key, url);
        checkRange(key, start, end, info.size);
        return new Uint8Array();
      }
      const length = end - start;
      return await attempt(url, READ_ATTEMPTS, options, async () => {
        const found = await bucket.get(name, { range: { offset: start, length } }).catch((error: unknown) => {
          if (String(error).includes(UNSATISFIABLE)) checkRange(key, start, end, 0);
          throw error;
        });
        if (!found) throw notFound(key, url);
        checkRange(key, start, end, found.size);
        return whole(await found.arrayBuffer(), length);
      });
    },
    async put(key, body, options) {
      const name = full(key);
      options?.signal?.throwIfAborted();
      const bytes = body instanceof Uint8Array ? body : await collect(body, options?.signal);
      const settings = {
        ...onlyIf(options),
        ...(options?.contentType ? { httpMetadata: { contentType: options.contentType } } : {}),
      };
      const written = await attempt(url, 1, options, () => bucket.put(name, bytes, settings));
      if (!written) throw conditionFailed(key, options?.condition ?? 'absent');
      return { size: bytes.length, etag: written.etag };
    },
    async *list(under, options) {
      let cursor: string | undefined;
      do {
        const from = { prefix: base + under, ...(cursor === undefined ? {} : { cursor }) };
        const page = await attempt(url, READ_ATTEMPTS, options, () => bucket.list(from));
        for (const { key, size, uploaded } of page.objects) {
          yield { key: key.slice(base.length), size, modified: uploaded.getTime() };
        }
        cursor = page.truncated ? page.cursor : undefined;
      } while (cursor !== undefined);
    },
    async delete(key, options) {
      const name = full(key);
      await attempt(url, READ_ATTEMPTS, options, () => bucket.delete(name));
    },
  };
}

function onlyIf(options: WriteOptions | undefined) {
  const condition = options?.condition;
  if (condition === undefined) return {};
  return {
    onlyIf: condition === 'absent' ? { etagDoesNotMatch: '*' } : { etagMatches: condition.etag },
  };
}

/** @throws when the body has ended early */
function whole(buffer: ArrayBuffer, expected: number): Uint8Array {
  if (buffer.byteLength !== expected) throw new Error(`${buffer.byteLength} of ${expected} bytes arrived`);
  return new Uint8Array(buffer);
}

async function attempt<T>(
  url: string,
  times: number,
  options: ReadOptions | undefined,
  work: () => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (let tried = 0; tried < times; tried++) {
    options?.signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (isProblem(error)) throw error;
      failure = error;
    }
  }
  const reason = failure instanceof Error ? failure.message : String(failure);
  throw new Problem(
    'store-unavailable',
    `The R2 bucket does not answer (${reason}). Check the binding and try again.`,
    { url },
    { cause: failure },
  );
}
