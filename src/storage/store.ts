/**
 * The contract of an object store: a flat map from keys to immutable byte strings, with ranged reads and
 * compare-and-swap writes. Drivers: `fs`, `memory`, `s3`, `r2`; all pass `test/conformance/storage`.
 *
 * Keys are `/`-separated, relative, without empty, `.` or `..` segments. Every method throws
 * `Problem('object-not-found')` for a missing key where a value is required, `store-unavailable` when the store
 * cannot be reached (after the driver's own retries), and `store-denied` when it refuses access.
 */
export interface ObjectStore {
  /** Where this store is, for messages: `file:///…`, `s3://bucket/prefix`, `memory:`. Never contains secrets. */
  readonly url: string;

  /** The whole object. */
  get(key: string, options?: ReadOptions): Promise<StoredObject>;

  /**
   * Bytes `[start, end)` of the object. Exactly `end - start` bytes or a Problem: a range beyond the end of the
   * object, or a body that ends early, is never answered with fewer bytes.
   */
  getRange(key: string, start: number, end: number, options?: ReadOptions): Promise<Uint8Array>;

  /** Size and etag, or `undefined` when there is no such object. */
  head(key: string, options?: ReadOptions): Promise<ObjectInfo | undefined>;

  /**
   * Writes the object whole: a reader sees the old bytes or the new ones, never a mixture, also after a crash.
   * @throws Problem('precondition-failed') when `condition` does not hold
   */
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<ObjectInfo>;

  /** Keys under a prefix, sorted, with sizes. */
  list(prefix: string, options?: ReadOptions): AsyncIterable<ListedObject>;

  /** Removes the object; removing a missing one is no error. */
  delete(key: string, options?: ReadOptions): Promise<void>;

  /** Removes what interrupted writes have left outside of every key; absent where nothing is left by them. */
  sweep?(options: SweepOptions): Promise<{ readonly files: number; readonly bytes: number }>;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Past any cache: what came before was damaged. What comes now takes its place. */
  readonly fresh?: boolean;
}

export interface WriteOptions extends ReadOptions {
  /** `absent`: only if there is no object yet. `{ etag }`: only if the present object has this etag. */
  readonly condition?: 'absent' | { readonly etag: string };
  /** Media type recorded with the object where the store can. */
  readonly contentType?: string;
}

export interface SweepOptions extends ReadOptions {
  /** Milliseconds for which it must have lain there: what is younger may be being written. */
  readonly olderThan: number;
  /** Counts, and removes nothing. @default false */
  readonly dryRun?: boolean;
  /** Present time, ms since 1970. @default Date.now */
  readonly now?: () => number;
}

export interface ObjectInfo {
  readonly size: number;
  /** Opaque; equal etags of one key mean equal bytes. Unquoted. */
  readonly etag: string;
}

export interface StoredObject extends ObjectInfo {
  readonly body: Uint8Array;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** Last change, ms since the epoch, where the store tells. */
  readonly modified?: number;
  /** Its bytes are kept under another name outside the store as well: removing it frees nothing. */
  readonly elsewhere?: boolean;
}
