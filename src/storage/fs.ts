import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Problem } from '../problem/index.ts';
import { checkKey, checkRange, conditionFailed, notFound } from './keys.ts';
import type { ObjectInfo, ObjectStore, WriteOptions } from './store.ts';

/** Files being written and locks lie here, outside every key. */
const SCRATCH = '.concertina-scratch';
/** A lock is held for a rename; one this old belongs to a process that died. */
const STALE_LOCK_MS = 30_000;
const LOCK_RETRY_MS = 10;

/**
 * Objects as files under a folder. A write goes to a temporary file, is flushed to the disk, and then renamed, so that a
 * crash leaves the old object or the new one. Conditional writes are atomic between processes: `absent` by `link`, `etag`
 * under a lock file.
 */
export function fsStore(folder: string): ObjectStore {
  const root = resolve(folder);
  const url = pathToFileURL(root).href;
  const scratch = join(root, SCRATCH);
  const path = (key: string) => join(root, ...checkKey(key).split('/'));

  async function info(key: string): Promise<ObjectInfo | undefined> {
    const found = await statFile(path(key));
    return found && { size: Number(found.size), etag: etagOf(found) };
  }

  async function read(key: string, range: { start: number; end: number } | undefined, signal?: AbortSignal) {
    signal?.throwIfAborted();
    const handle = await open(path(key)).catch((error: unknown) => {
      throw isCode(error, 'ENOENT', 'EISDIR', 'ENOTDIR') ? notFound(key, url) : unavailable(url, error);
    });
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw notFound(key, url);
      const size = Number(stats.size);
      const { start, end } = range ?? { start: 0, end: size };
      checkRange(key, start, end, size);
      const body = new Uint8Array(end - start);
      for (let at = 0; at < body.length; ) {
        const { bytesRead } = await handle.read(body, at, body.length - at, start + at);
        if (bytesRead === 0) throw unavailable(url, new Error(`"${key}" ended after ${start + at} bytes`));
        at += bytesRead;
      }
      return { body, size, etag: etagOf(stats) };
    } finally {
      await handle.close();
    }
  }

  async function writeTemporary(
    body: Uint8Array | AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<string> {
    await mkdir(scratch, { recursive: true });
    const temporary = join(scratch, randomUUID());
    const handle = await open(temporary, 'wx');
    try {
      if (body instanceof Uint8Array) await handle.writeFile(body);
      else {
        for await (const chunk of body) {
          signal?.throwIfAborted();
          await handle.writeFile(chunk);
        }
      }
      signal?.throwIfAborted();
      await handle.sync();
      await handle.close();
      return temporary;
    } catch (error) {
      await handle.close().catch(() => {});
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Moves the finished file to its key, if the condition holds. */
  async function place(key: string, temporary: string, condition: WriteOptions['condition']): Promise<void> {
    const target = path(key);
    await mkdir(dirname(target), { recursive: true });
    if (condition === 'absent') {
      await link(temporary, target).catch((error: unknown) => {
        throw isCode(error, 'EEXIST') ? conditionFailed(key, condition) : error;
      });
      await rm(temporary, { force: true });
    } else if (condition) {
      await locked(join(scratch, `${encodeURIComponent(key)}.lock`), async () => {
        if ((await info(key))?.etag !== condition.etag) throw conditionFailed(key, condition);
        await rename(temporary, target);
      });
    } else {
      await rename(temporary, target);
    }
    await syncFolder(dirname(target));
  }

  return {
    url,
    get: (key, options) => read(key, undefined, options?.signal),
    getRange: async (key, start, end, options) => (await read(key, { start, end }, options?.signal)).body,
    async head(key, options) {
      options?.signal?.throwIfAborted();
      return await info(key);
    },
    async put(key, body, options) {
      checkKey(key);
      options?.signal?.throwIfAborted();
      try {
        const temporary = await writeTemporary(body, options?.signal);
        try {
          const written = await stat(temporary, { bigint: true });
          await place(key, temporary, options?.condition);
          return { size: Number(written.size), etag: etagOf(written) };
        } catch (error) {
          await rm(temporary, { force: true });
          throw error;
        }
      } catch (error) {
        throw error instanceof Error && 'syscall' in error ? unavailable(url, error) : error;
      }
    },
    async *list(prefix, options) {
      for (const file of await walk(root)) {
        options?.signal?.throwIfAborted();
        const key = relative(root, file).split(sep).join('/');
        const found = key.startsWith(prefix) ? await statFile(file) : undefined;
        if (found) yield { key, size: Number(found.size), modified: Number(found.mtimeMs) };
      }
    },
    async delete(key, options) {
      options?.signal?.throwIfAborted();
      await rm(path(key), { force: true });
    },
  };
}

/** A file's identity: a rewritten object is a new inode, so equal etags mean equal bytes. */
const etagOf = (stats: BigIntStats): string =>
  `${stats.ino.toString(36)}-${stats.size.toString(36)}-${stats.mtimeNs.toString(36)}`;

async function statFile(path: string): Promise<BigIntStats | undefined> {
  try {
    const stats = await stat(path, { bigint: true });
    return stats.isFile() ? stats : undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** All files below a folder, in the order of their keys. */
async function walk(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes(`${sep}${SCRATCH}${sep}`))
    .sort();
}

async function locked(lock: string, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await (await open(lock, 'wx')).close();
      break;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      const held = await stat(lock).catch(() => undefined);
      if (held && Date.now() - held.mtimeMs > STALE_LOCK_MS) await rm(lock, { force: true });
      else await new Promise((done) => setTimeout(done, LOCK_RETRY_MS));
    }
  }
  try {
    await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

function unavailable(url: string, cause: unknown): Problem {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Problem('store-unavailable', `The store ${url} cannot be used: ${reason}.`, {}, { cause });
}
