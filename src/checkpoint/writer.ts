import { isProblem, Problem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import {
  elementOf,
  encodeHalf,
  encodeSafetensors,
  encodeSafetensorsHeader,
  flops,
  fullVariant,
  parameters,
} from '../vit/index.ts';
import type { CheckpointContent } from './content.ts';
import { sha256 } from './digest.ts';
import { isScale, type PlacedTensor, parseStoredName, placeTensors } from './layout.ts';
import type { Latest, Level, Manifest, StoredRange, StoredTensor } from './manifest.ts';
import { LatestSchema, MANIFEST_VERSION, ManifestSchema } from './manifest.ts';
import { numbersOf } from './stored-numbers.ts';

/** A level's bytes are checked, and fetched in parallel, in pieces of at most this size. */
const RANGE_BYTES = 1024 * 1024;

export interface PublishOptions {
  readonly signal?: AbortSignal;
  /** Told after every object: bytes written so far, and in all. */
  readonly onProgress?: (written: number, total: number) => void;
}

export interface Published {
  readonly digest: string;
  readonly manifest: Manifest;
}

/**
 * Publishes an elastic checkpoint under `<model>/`: immutable objects under their digest first, `latest.json` last by a
 * conditional put. The same content gives the same digest.
 * @throws Problem('precondition-failed') when somebody else published meanwhile; nothing of theirs is touched
 */
export async function publishCheckpoint(
  store: ObjectStore,
  content: CheckpointContent,
  options: PublishOptions = {},
): Promise<Published> {
  checkModelName(content.model);
  const before = await store.head(latestKey(content.model), options);
  const weights = await encodeWeights(content);
  const ranking = encodeSafetensors(content.ranking);
  const manifest = ManifestSchema.parse({
    version: MANIFEST_VERSION,
    model: content.model,
    config: content.config,
    ladder: weights.ladder,
    weights: {
      size: weights.bytes.length,
      header: weights.header,
      tensors: weights.tensors,
      ranges: weights.ranges,
      ...(numbersOf(content) === 'split' && { split: true as const }),
    },
    ranking: { size: ranking.length, sha256: await sha256(ranking) },
    components: content.components?.count ?? 0,
    keepFp32: [...content.keepFp32],
    provenance: content.provenance,
  } satisfies Manifest);
  const manifestBytes = new TextEncoder().encode(`${JSON.stringify(manifest)}\n`);
  const digest = await sha256(manifestBytes);
  const folder = `${content.model}/${digest}`;
  const objects: readonly (readonly [string, Uint8Array, string])[] = [
    [`${folder}/weights.safetensors`, weights.bytes, 'application/octet-stream'],
    [`${folder}/ranking.safetensors`, ranking, 'application/octet-stream'],
    [`${folder}/manifest.json`, manifestBytes, 'application/json'],
  ];
  const total = objects.reduce((sum, [, body]) => sum + body.length, 0);
  let written = 0;
  for (const [key, body, contentType] of objects) {
    await putImmutable(store, key, body, contentType, options);
    written += body.length;
    options.onProgress?.(written, total);
  }
  await moveLatest(store, content.model, digest, before?.etag, options);
  const abort = options.signal ? { signal: options.signal } : {};
  // A garbage collection that began before the pointer moved may have removed what had been there already.
  for (const [key, body, contentType] of objects) {
    if (!(await store.head(key, abort))) await store.put(key, body, { contentType, ...abort });
  }
  return { digest, manifest };
}

export const latestKey = (model: string): string => `${model}/latest.json`;

/** @throws Problem('invalid-settings') */
export function checkModelName(model: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(model)) {
    throw new Problem(
      'invalid-settings',
      `"${model}" cannot name a model: use letters, digits, ".", "_" and "-", at most 128.`,
    );
  }
}

/** An object whose key contains its digest: when it is there already, it is the same. */
async function putImmutable(
  store: ObjectStore,
  key: string,
  body: Uint8Array,
  contentType: string,
  { signal }: PublishOptions,
): Promise<void> {
  const abort = signal ? { signal } : {};
  try {
    await store.put(key, body, { condition: 'absent', contentType, ...abort });
  } catch (error) {
    if (!isProblem(error, 'precondition-failed')) throw error;
    const present = await store.get(key, abort);
    if ((await sha256(present.body)) !== (await sha256(body)))
      await store.put(key, body, { contentType, ...abort });
  }
}

async function moveLatest(
  store: ObjectStore,
  model: string,
  digest: string,
  etag: string | undefined,
  { signal }: PublishOptions,
): Promise<void> {
  const body = new TextEncoder().encode(`${JSON.stringify({ digest } satisfies Latest)}\n`);
  const abort = signal ? { signal } : {};
  try {
    const condition = etag === undefined ? ('absent' as const) : { etag };
    await store.put(latestKey(model), body, { condition, contentType: 'application/json', ...abort });
  } catch (error) {
    if (!isProblem(error, 'precondition-failed')) throw error;
    const winner = LatestSchema.safeParse(
      JSON.parse(new TextDecoder().decode((await store.get(latestKey(model), abort)).body)),
    );
    if (winner.success && winner.data.digest === digest) return;
    throw new Problem(
      'precondition-failed',
      `Somebody else published "${model}" at the same time and won; your checkpoint is stored under ${digest} but is not the current one. Publish again to make it so.`,
      { model, digest, current: winner.success ? winner.data.digest : undefined },
      { cause: error },
    );
  }
}

interface EncodedWeights {
  readonly bytes: Uint8Array;
  readonly header: number;
  readonly tensors: Record<string, StoredTensor>;
  readonly ranges: StoredRange[];
  readonly ladder: Level[];
}

async function encodeWeights(content: CheckpointContent): Promise<EncodedWeights> {
  const placed = placeTensors(content);
  const { bytes: header, entries } = encodeSafetensorsHeader(
    placed.map(({ name, dtype, tensor }) => ({ name, dtype, shape: tensor.shape })),
    { format: 'concertina' },
  );
  const size = Math.max(header.length, ...[...entries.values()].map(({ end }) => end));
  const bytes = new Uint8Array(size);
  bytes.set(header);
  const tensors: Record<string, StoredTensor> = {};
  for (const { name, dtype, tensor } of placed) {
    const entry = entries.get(name);
    if (!entry) throw new Problem('invalid-checkpoint', `Two tensors are called "${name}".`);
    bytes.set(encodeNumbers(tensor.data, dtype), entry.start);
    tensors[name] = { dtype, shape: [...entry.shape], start: entry.start, end: entry.end };
  }
  const ends = levelEnds(placed, tensors, header.length, content.levels.length);
  return {
    bytes,
    header: header.length,
    tensors,
    ranges: await hashRanges(bytes, header.length, ends),
    ladder: ladder(content, placed, ends),
  };
}

function encodeNumbers(data: Float32Array | Int8Array, dtype: PlacedTensor['dtype']): Uint8Array {
  if (dtype === 'F16' && data instanceof Float32Array) return encodeHalf(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function written(tensors: Readonly<Record<string, StoredTensor>>, name: string): StoredTensor {
  const tensor = tensors[name];
  if (!tensor) throw new RangeError(`${name} has no place in the file.`);
  return tensor;
}

/** End of each level's bytes: levels follow each other, so a level that adds nothing ends where the one before it ends. */
function levelEnds(
  placed: readonly PlacedTensor[],
  tensors: Readonly<Record<string, StoredTensor>>,
  header: number,
  levels: number,
): number[] {
  const ends = new Array<number>(levels).fill(header);
  for (const { name, level } of placed) {
    const { end } = written(tensors, name);
    for (let k = level; k < levels; k++) ends[k] = Math.max(elementOf(ends, k), end);
  }
  return ends;
}

async function hashRanges(
  bytes: Uint8Array,
  header: number,
  ends: readonly number[],
): Promise<StoredRange[]> {
  const ranges: StoredRange[] = [];
  const add = async (start: number, end: number, level: number) =>
    ranges.push({ start, end, level, sha256: await sha256(bytes.subarray(start, end)) });
  await add(0, header, 0);
  let at = header;
  for (const [level, end] of ends.entries()) {
    while (at < end) {
      const next = Math.min(end, at + RANGE_BYTES);
      await add(at, next, level);
      at = next;
    }
  }
  return ranges;
}

function ladder(
  content: CheckpointContent,
  placed: readonly PlacedTensor[],
  ends: readonly number[],
): Level[] {
  const full = flops(content.config, fullVariant(content.config));
  return content.levels.map((level, index) => {
    const numbers = placed
      .filter(({ level, name }) => level <= index && !name.startsWith('head.') && !isScale(name))
      .reduce((sum, { tensor }) => sum + tensor.data.length, 0);
    const own = flops(content.config, level);
    return {
      heads: [...level.heads],
      channels: [...level.channels],
      merge: [...level.merge],
      ...(level.queries && { queries: [...level.queries] }),
      ...(level.values && { values: [...level.values] }),
      flops: own,
      share: own / full,
      params: parameters(content.config, level),
      end: elementOf(ends, index),
      memory: numbers * 4,
      fidelity: level.fidelity,
      corrections: placed
        .filter((tensor) => tensor.level === index && !isScale(tensor.name))
        .map(({ name }) => parseStoredName(name))
        .filter(({ kind }) => kind === 'correction')
        .map(({ name }) => name),
    };
  });
}
