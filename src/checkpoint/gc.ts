import { isProblem, Problem } from '../problem/index.ts';
import type { ObjectStore, ReadOptions } from '../storage/index.ts';
import { readLatest } from './reader.ts';
import { latestKey } from './writer.ts';

/** A day: longer than any reader takes to load a checkpoint, and any publisher to write one. */
const DEFAULT_AGE_MS = 24 * 60 * 60 * 1000;

export interface GarbageOptions extends ReadOptions {
  /** Says what would be removed, and removes nothing. @default false */
  readonly dryRun?: boolean;
  /**
   * Milliseconds for which nothing may have happened to a model before anything of it is removed: readers that opened a
   * version while it was current may still be loading it, and a publisher may still be writing. Must be longer than both, and
   * than the clocks of this machine and the store are apart. @default a day
   */
  readonly olderThan?: number;
  /** Digests that somebody else points to. */
  readonly keep?: readonly string[];
  /** Only this model. */
  readonly model?: string;
  /** Present time, ms since 1970. @default Date.now */
  readonly now?: () => number;
}

/** One version of a model, current or not. */
export interface Version {
  readonly model: string;
  readonly digest: string;
  readonly objects: number;
  readonly bytes: number;
}

export interface KeptVersion extends Version {
  /**
   * `current`: `latest.json` points to it. `asked`: it was to be kept. `recent`: it, or the pointer of its model, was written not
   * long enough ago. `unknown-age`: the store does not say when. `unreadable-pointer`: `latest.json` is malformed.
   */
  readonly reason: 'current' | 'asked' | 'recent' | 'unknown-age' | 'unreadable-pointer';
}

export interface GarbageReport {
  readonly removed: readonly Version[];
  readonly kept: readonly KeptVersion[];
  /** Bytes that were (or would be) freed: not those that a hard link outside the store still holds. */
  readonly bytes: number;
  /** What interrupted writes had left. */
  readonly leftovers: { readonly files: number; readonly bytes: number };
}

interface Found extends Version {
  /** Of its bytes, those that removing it frees. */
  readonly own: number;
  readonly keys: readonly string[];
  /** When its youngest object was written; `undefined` when the store does not say. */
  readonly modified: number | undefined;
}

interface FoundModel {
  readonly versions: readonly Found[];
  /** When the pointer was last moved; `null` when there is none. */
  readonly moved: number | null | undefined;
}

/**
 * Removes versions of models that no `latest.json` points to. Everything else in the store is left alone. A version goes
 * manifest first, so that what is left by an interruption can be opened by nobody, and is removed the next time.
 * @throws Problem('corrupt-checkpoint') when a version was made current again, by publishing the same content, in the moment
 *   in which it was removed
 */
export async function collectGarbage(
  store: ObjectStore,
  options: GarbageOptions = {},
): Promise<GarbageReport> {
  const read: ReadOptions = options.signal ? { signal: options.signal } : {};
  const removed: Version[] = [];
  let freed = 0;
  const { dryRun = false, olderThan = DEFAULT_AGE_MS, now = Date.now } = options;
  const leftovers = (await store.sweep?.({ olderThan, dryRun, now, ...read })) ?? { files: 0, bytes: 0 };
  const kept: KeptVersion[] = [];
  for (const [model, found] of await findVersions(store, options.model, read)) {
    for (const { keys, modified, own, ...version } of found.versions) {
      // Asked anew for every version: the pointer may have moved meanwhile.
      const pointer = await readPointer(store, model, read);
      const reason = reasonToKeep({ version, modified, moved: found.moved, pointer }, options);
      if (reason) {
        kept.push({ ...version, reason });
        continue;
      }
      if (!options.dryRun) await remove(store, model, version.digest, keys, read);
      removed.push(version);
      freed += own;
    }
  }
  return { removed, kept, bytes: freed + leftovers.bytes, leftovers };
}

function reasonToKeep(
  found: {
    readonly version: Version;
    readonly modified: number | undefined;
    readonly moved: number | null | undefined;
    readonly pointer: string | null | undefined;
  },
  { olderThan = DEFAULT_AGE_MS, keep = [], now = Date.now }: GarbageOptions,
): KeptVersion['reason'] | undefined {
  const { version, modified, moved, pointer } = found;
  if (pointer === undefined) return 'unreadable-pointer';
  if (pointer === version.digest) return 'current';
  if (keep.includes(version.digest)) return 'asked';
  if (modified === undefined || moved === undefined) return 'unknown-age';
  // Until the pointer moved this version may have been the current one.
  const since = Math.max(modified, moved ?? 0);
  return now() - since < olderThan ? 'recent' : undefined;
}

/** The current digest; `null` when nothing is current, `undefined` when that cannot be told. */
async function readPointer(
  store: ObjectStore,
  model: string,
  options: ReadOptions,
): Promise<string | null | undefined> {
  try {
    return (await readLatest(store, model, options)).digest;
  } catch (error) {
    if (isProblem(error, 'unknown-checkpoint')) return null;
    if (isProblem(error, 'invalid-checkpoint')) return undefined;
    throw error;
  }
}

async function remove(
  store: ObjectStore,
  model: string,
  digest: string,
  keys: readonly string[],
  options: ReadOptions,
): Promise<void> {
  const manifest = `${model}/${digest}/manifest.json`;
  const ordered = [...keys.filter((key) => key === manifest), ...keys.filter((key) => key !== manifest)];
  for (const key of ordered) await store.delete(key, options);
  if ((await readPointer(store, model, options)) !== digest) return;
  throw new Problem(
    'corrupt-checkpoint',
    `"${model}" was published again as ${digest} while that version was being removed. Publish it once more.`,
    { model, digest },
  );
}

/** All versions in the store by model, incomplete ones too. */
async function findVersions(
  store: ObjectStore,
  only: string | undefined,
  options: ReadOptions,
): Promise<Map<string, FoundModel>> {
  const models = new Map<string, { versions: Map<string, Found>; moved: number | null | undefined }>();
  for await (const { key, size, modified, elsewhere } of store.list(only ? `${only}/` : '', options)) {
    const [, model = '', digest] =
      /^([A-Za-z0-9][\w.-]{0,127})\/(?:latest\.json|([0-9a-f]{64})\/.+)$/.exec(key) ?? [];
    if (model === '') continue;
    const found = models.get(model) ?? { versions: new Map(), moved: null };
    models.set(model, found);
    if (key === latestKey(model)) found.moved = modified;
    if (digest === undefined) continue;
    const before = found.versions.get(digest);
    found.versions.set(digest, {
      model,
      digest,
      objects: (before?.objects ?? 0) + 1,
      bytes: (before?.bytes ?? 0) + size,
      own: (before?.own ?? 0) + (elsewhere ? 0 : size),
      keys: [...(before?.keys ?? []), key],
      modified: youngest(before, modified),
    });
  }
  return new Map(
    [...models].map(([model, { versions, moved }]) => [model, { versions: [...versions.values()], moved }]),
  );
}

function youngest(before: Found | undefined, modified: number | undefined): number | undefined {
  if (!before) return modified;
  if (before.modified === undefined || modified === undefined) return undefined;
  return Math.max(before.modified, modified);
}
