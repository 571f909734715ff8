import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkKey } from './keys.ts';
import type { ObjectStore, ReadOptions, StoredObject } from './store.ts';

export interface CacheOptions {
  /** Folder of the cache; made when it is needed. Several processes may share it. */
  readonly directory: string;
  /** Bytes that the entries may take together; what was used least recently goes first. */
  readonly maxBytes: number;
  /** Whether an object under this key never changes (its key contains its digest). Only such objects are kept. */
  readonly immutable: (key: string) => boolean;
}

/** After the limit is passed entries go until so much of it is taken: not one at a time. */
const SHRINK_TO = 0.9;
const DIGEST_BYTES = 32;
/** Bytes that say how long the etag is. */
const LENGTH_BYTES = 2;
/** Beginning of the names of files that are being written. */
const TEMPORARY = '.';

/**
 * Keeps what was read of immutable objects in a local folder, for warm restarts. Whatever the folder does (full, damaged,
 * read-only, emptied meanwhile), answers are the origin's: an entry is used only if its digest is right, and is fetched
 * again otherwise.
 */
export function cachedStore(origin: ObjectStore, options: CacheOptions): ObjectStore {
  const cache = new CacheFolder(resolve(options.directory), options.maxBytes);
  const place = (key: string) => hex(`${origin.url}\n${checkKey(key)}`);

  /** The cached answer, or the origin's, which is then kept. */
  async function through(
    key: string,
    what: string,
    read: ReadOptions | undefined,
    fetch: () => Promise<StoredObject>,
  ): Promise<StoredObject> {
    read?.signal?.throwIfAborted();
    if (!options.immutable(key)) return await fetch();
    const entry = `${place(key)}-${what}`;
    const known = read?.fresh ? undefined : await cache.read(entry);
    if (known) return known;
    const found = await fetch();
    await cache.write(entry, found);
    return found;
  }

  return {
    url: origin.url,
    get: (key, read) => through(key, 'all', read, () => origin.get(key, read)),
    async getRange(key, start, end, read) {
      const { body } = await through(key, `${start}-${end}`, read, async () => {
        const bytes = await origin.getRange(key, start, end, read);
        return { body: bytes, size: bytes.length, etag: '' };
      });
      return body;
    },
    head: (key, read) => origin.head(key, read),
    async put(key, body, write) {
      const written = await origin.put(key, body, write);
      await cache.forget(place(key));
      return written;
    },
    list: (prefix, read) => origin.list(prefix, read),
    async delete(key, read) {
      await origin.delete(key, read);
      await cache.forget(place(key));
    },
  };
}

/** Entries in a folder, a file each: the digest of what follows, the etag, the bytes. */
class CacheFolder {
  readonly #folder: string;
  readonly #maxBytes: number;
  /** Bytes in the folder as far as this process knows; `undefined` before it has looked. */
  #bytes: number | undefined;

  constructor(folder: string, maxBytes: number) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  async read(entry: string): Promise<StoredObject | undefined> {
    const path = join(this.#folder, entry);
    const file = await readFile(path).catch(() => undefined);
    if (!file) return undefined;
    const content = file.subarray(DIGEST_BYTES);
    if (!digest(content).equals(file.subarray(0, DIGEST_BYTES))) {
      await rm(path, { force: true }).catch(() => {});
      return undefined;
    }
    const now = new Date();
    // The time of the last use: what decides about which entries go.
    await utimes(path, now, now).catch(() => {});
    const start = LENGTH_BYTES + content.readUInt16LE(0);
    const etag = content.toString('utf8', LENGTH_BYTES, start);
    // A copy of its own: callers may keep a part of it for long, or hand its buffer on.
    const body = new Uint8Array(content.subarray(start));
    return { body, size: body.length, etag };
  }

  /** Keeps an answer if it can; a cache that cannot be written is a cache that is empty. */
  async write(entry: string, { body, etag }: StoredObject): Promise<void> {
    const name = Buffer.from(etag);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt16LE(name.length);
    const content = Buffer.concat([length, name, body]);
    const size = DIGEST_BYTES + content.length;
    if (size > this.#maxBytes * SHRINK_TO) return;
    const temporary = join(this.#folder, `${TEMPORARY}${randomUUID()}`);
    try {
      await mkdir(this.#folder, { recursive: true });
      this.#bytes ??= sum(await this.#entries());
      // Not flushed to the disk: after a crash the digest tells what did not get there.
      await writeFile(temporary, Buffer.concat([digest(content), content]));
      await rename(temporary, join(this.#folder, entry));
      this.#bytes += size;
      if (this.#bytes > this.#maxBytes) await this.#shrink();
    } catch {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  /** Removes the entries of an object. */
  async forget(place: string): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const own = names.filter((name) => name.startsWith(`${place}-`));
    await Promise.all(own.map((name) => rm(join(this.#folder, name), { force: true }).catch(() => {})));
  }

  async #shrink(): Promise<void> {
    const entries = (await this.#entries()).sort((a, b) => a.used - b.used);
    let bytes = sum(entries);
    for (const { path, size } of entries) {
      if (bytes <= this.#maxBytes * SHRINK_TO) break;
      await rm(path, { force: true });
      bytes -= size;
    }
    this.#bytes = bytes;
  }

  async #entries(): Promise<{ path: string; size: number; used: number }[]> {
    const found = await Promise.all(
      (await readdir(this.#folder)).map(async (name) => {
        const path = join(this.#folder, name);
        // Another process may have removed it meanwhile.
        const stats = await stat(path).catch(() => undefined);
        return stats?.isFile() ? [{ path, size: stats.size, used: stats.mtimeMs }] : [];
      }),
    );
    return found.flat();
  }
}

const sum = (entries: readonly { readonly size: number }[]) =>
  entries.reduce((total, { size }) => total + size, 0);
const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const hex = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 40);
