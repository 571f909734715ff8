import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { link, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Problem } from '../problem/index.ts';
import { checkKey, checkRange, conditionFailed, notFound } from './keys.ts';
import type { ObjectInfo, ObjectStore, ReadOptions, SweepOptions, WriteOptions } from './store.ts';

/** Files being written and locks lie here, outside every key. */
const SCRATCH = '.concertina-scratch';
/**
 * A lock is held for a rename; one this old, or one that stays the same for so long, belongs to a process that died. The second does not
 * ask what time it is: a lock may be from the future.
 */
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

  /** An error of the file system as a problem of the store; others as they are. */
  const asProblem = (error: unknown): unknown =>
    error instanceof Error && 'syscall' in error ? unavailable(url, error) : error;

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
  async function place(key: string, temporary: string, { condition, signal }: WriteOptions): Promise<void> {
    const target = path(key);
    await mkdir(dirname(target), { recursive: true });
    if (condition === 'absent') {
      await link(temporary, target).catch((error: unknown) => {
        throw isCode(error, 'EEXIST') ? conditionFailed(key, condition) : error;
      });
      await rm(temporary, { force: true });
    } else if (condition) {
      const lock = join(scratch, `${encodeURIComponent(key)}.lock`);
      const exchange = async () => {
        if ((await info(key))?.etag !== condition.etag) throw conditionFailed(key, condition);
        await rename(temporary, target);
      };
      await locked(lock, exchange, signal);
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
          await place(key, temporary, options ?? {});
          return { size: Number(written.size), etag: etagOf(written) };
        } catch (error) {
          await rm(temporary, { force: true });
          throw error;
        }
      } catch (error) {
        throw asProblem(error);
      }
    },
    async *list(prefix, options) {
      const files = await walk(root).catch((error: unknown) => {
        throw asProblem(error);
      });
      for (const file of files) {
        options?.signal?.throwIfAborted();
        const key = relative(root, file).split(sep).join('/');
        const found = key.startsWith(prefix) ? await statFile(file) : undefined;
        if (!found) continue;
        const elsewhere = found.nlink > 1n;
        yield {
          key,
          size: Number(found.size),
          modified: Number(found.mtimeMs),
          ...(elsewhere && { elsewhere }),
        };
      }
    },
    async delete(key, options) {
      options?.signal?.throwIfAborted();
      await rm(path(key), { force: true }).catch((error: unknown) => {
        throw asProblem(error);
      });
    },
    sweep: (options) =>
      sweep(scratch, options).catch((error: unknown) => {
        throw asProblem(error);
      }),
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

/** All files below a folder, in the order of their keys. Links are followed, as they are when a key is read; never round in a circle. */
async function walk(root: string): Promise<string[]> {
  const files: string[] = [];
  const visit = async (folder: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(folder);
    if (above.includes(real)) return;
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (path === join(root, SCRATCH)) continue;
      if (entry.isFile()) files.push(path);
      else if (entry.isDirectory()) await visit(path, [...above, real]);
      else if (entry.isSymbolicLink()) {
        const target = await stat(path).catch(() => undefined);
        if (target?.isFile()) files.push(path);
        else if (target?.isDirectory()) await visit(path, [...above, real]);
      }
    }
  };
  await visit(root, []).catch((error: unknown) => {
    // No folder yet, or one that somebody removes meanwhile.
    if (!isCode(error, 'ENOENT')) throw error;
  });
  return files.sort();
}

/** Files of writes that were interrupted, and locks of processes that died. */
async function sweep(
  scratch: string,
  { olderThan, dryRun = false, now = Date.now, signal }: SweepOptions,
): Promise<{ files: number; bytes: number }> {
  const names = await readdir(scratch).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  });
  let [files, bytes] = [0, 0];
  for (const name of names) {
    signal?.throwIfAborted();
    const file = join(scratch, name);
    const found = await statFile(file);
    // From the future is not young: no clock that could tell is right.
    if (!found || Math.abs(now() - Number(found.mtimeMs)) < olderThan) continue;
    files++;
    if (found.nlink === 1n) bytes += Number(found.size);
    if (!dryRun) await rm(file, { force: true });
  }
  return { files, bytes };
}

async function locked(lock: string, work: () => Promise<void>, signal: ReadOptions['signal']): Promise<void> {
  let seen: { readonly lock: string; readonly since: number } | undefined;
  for (;;) {
    signal?.throwIfAborted();
    try {
      await (await open(lock, 'wx')).close();
      break;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      const held = await stat(lock).catch(() => undefined);
      const identity = `${held?.ino}/${held?.mtimeMs}`;
      if (seen?.lock !== identity) seen = { lock: identity, since: performance.now() };
      const old = held !== undefined && Date.now() - held.mtimeMs > STALE_LOCK_MS;
      if (old || performance.now() - seen.since > STALE_LOCK_MS) await rm(lock, { force: true });
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
