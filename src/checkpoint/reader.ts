import { isProblem, Problem } from '../problem/index.ts';
import type { ObjectStore, ReadOptions } from '../storage/index.ts';
import type { Tensor, TensorMap } from '../vit/index.ts';
import { elementOf, memorySource, readSafetensors } from '../vit/index.ts';
import type { Components } from './content.ts';
import { levelDecoder } from './decode-level.ts';
import { sha256 } from './digest.ts';
import { unitNames } from './layout.ts';
import type { LevelWeights } from './level-weights.ts';
import { LatestSchema, type Manifest, ManifestSchema, type StoredRange } from './manifest.ts';
import { checkManifest } from './manifest-check.ts';
import { readAhead } from './read-ahead.ts';
import { checkModelName, latestKey } from './writer.ts';

export interface OpenOptions extends ReadOptions {
  /** A certain version; the current one if absent. */
  readonly digest?: string;
}

/** An elastic checkpoint in a store: its manifest is read, its weights not yet. */
export interface Checkpoint {
  readonly model: string;
  readonly digest: string;
  readonly manifest: Manifest;
  /** Etag of `latest.json` when it was read; `undefined` for a digest that was asked for. */
  readonly etag: string | undefined;
  /**
   * Weights in level order. Ranges are fetched ahead in parallel and each is checked against its sha256.
   * @throws Problem('corrupt-checkpoint') naming the range, before anything of it is given out
   */
  levels(options?: LevelOptions): AsyncIterable<LevelWeights>;
  /** The whole network in stored unit order, canonical names, with the classification head. */
  tensors(options?: ReadOptions): Promise<TensorMap>;
  ranking(options?: ReadOptions): Promise<TensorMap>;
  /** Principal components, if the checkpoint has any; they are part of level 0. */
  components(options?: ReadOptions): Promise<Components | undefined>;
}

export interface LevelOptions extends ReadOptions {
  /** The first level wanted, to go on where this checkpoint was being read before an interruption. @default 0 */
  readonly from?: number;
  /** Bytes of weights read so far. */
  readonly onBytes?: (read: number) => void;
}

/** Which version of a model is current. @throws Problem('unknown-checkpoint') */
export async function readLatest(
  store: ObjectStore,
  model: string,
  options: ReadOptions = {},
): Promise<{ digest: string; etag: string }> {
  checkModelName(model);
  try {
    const { body, etag } = await store.get(latestKey(model), options);
    return { digest: LatestSchema.parse(JSON.parse(new TextDecoder().decode(body))).digest, etag };
  } catch (error) {
    if (isProblem(error, 'object-not-found')) {
      const models = await listModels(store, options);
      throw new Problem(
        'unknown-checkpoint',
        `There is no checkpoint "${model}" in ${store.url}. ${models.length > 0 ? `There are: ${models.join(', ')}.` : 'The store has none; make one with concertina prune.'}`,
        { model, models },
        { cause: error },
      );
    }
    if (isProblem(error)) throw error;
    throw new Problem(
      'invalid-checkpoint',
      `${latestKey(model)} in ${store.url} is malformed. Publish the checkpoint again.`,
      { model },
      { cause: error },
    );
  }
}

/** Names of the models that have been published in a store. */
export async function listModels(store: ObjectStore, options: ReadOptions = {}): Promise<string[]> {
  const models: string[] = [];
  for await (const { key } of store.list('', options)) {
    const match = /^([^/]+)\/latest\.json$/.exec(key);
    if (match?.[1]) models.push(match[1]);
  }
  return models;
}

/**
 * Opens a checkpoint: reads and checks its manifest.
 * @throws Problem('unknown-checkpoint'), ('invalid-checkpoint'), ('corrupt-checkpoint')
 */
export async function openCheckpoint(
  store: ObjectStore,
  model: string,
  options: OpenOptions = {},
): Promise<Checkpoint> {
  const read: ReadOptions = options.signal ? { signal: options.signal } : {};
  const latest = options.digest ? undefined : await readLatest(store, model, read);
  const digest = options.digest ?? latest?.digest ?? '';
  const folder = `${model}/${digest}`;
  const manifestKey = `${folder}/manifest.json`;
  const body = await checked(store, manifestKey, digest, async (fresh) => {
    return (await store.get(manifestKey, { ...read, fresh })).body;
  });
  const manifest = parseManifest(body, folder);
  const weightsKey = `${folder}/weights.safetensors`;
  const fetchRange = ({ start, end, sha256: expected }: StoredRange, signal?: AbortSignal) =>
    checked(store, `${weightsKey} bytes ${start} to ${end}`, expected, (fresh) =>
      store.getRange(weightsKey, start, end, { fresh, ...(signal && { signal }) }),
    );

  let decoder = levelDecoder(manifest);
  async function* levels({ from = 0, signal, onBytes }: LevelOptions = {}): AsyncIterable<LevelWeights> {
    const wanted = manifest.weights.ranges.filter(({ level }) => level >= from);
    const pending = readAhead(wanted, {
      read: (range) => fetchRange(range, signal),
      // What is wanted first has the link to itself: ranges of the next level would take a share of it.
      group: ({ level }) => level,
    });
    // What goes on from a level needs what was kept of those before it.
    if (from === 0) decoder = levelDecoder(manifest);
    const { decode } = decoder;
    let read = wanted[0]?.start ?? manifest.weights.size;
    try {
      for (const [level, { end }] of manifest.ladder.entries()) {
        if (level < from) continue;
        const start = level === 0 ? 0 : elementOf(manifest.ladder, level - 1).end;
        const bytes = new Uint8Array(end - start);
        for (const range of wanted) {
          if (range.level !== level) continue;
          const { value } = await pending.next();
          if (value) bytes.set(value, range.start - start);
          read += range.end - range.start;
          onBytes?.(read);
        }
        yield await decode(level, start, bytes);
      }
    } finally {
      await pending.return(undefined);
    }
  }

  return {
    model,
    digest,
    manifest,
    etag: latest?.etag,
    levels,
    async tensors(settings) {
      return assemble(manifest, levels(settings));
    },
    async ranking(settings) {
      const key = `${folder}/ranking.safetensors`;
      const bytes = await checked(store, key, manifest.ranking.sha256, async (fresh) => {
        return (await store.get(key, { ...settings, fresh })).body;
      });
      return await readSafetensors(memorySource(key, bytes));
    },
    async components(settings) {
      if (manifest.components === 0) return undefined;
      for await (const { shared } of levels(settings)) {
        const mean = shared.get('pca.mean');
        const matrix = shared.get('pca.components');
        return mean && matrix
          ? { mean: mean.data, matrix: matrix.data, count: manifest.components }
          : undefined;
      }
      return undefined;
    },
  };
}

/** Bytes with the expected sha256. Others are asked for once more, past any cache: they may have been damaged on the way. */
async function checked(
  store: ObjectStore,
  what: string,
  expected: string,
  read: (fresh: boolean) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  for (const fresh of [false, true]) {
    const bytes = await read(fresh);
    if ((await sha256(bytes)) === expected) return bytes;
  }
  throw corrupt(what, store);
}

async function assemble(manifest: Manifest, levels: AsyncIterable<LevelWeights>): Promise<TensorMap> {
  const tensors = new Map<string, Tensor>();
  const pieces = new Map<string, Tensor[]>([...unitNames(manifest.config).keys()].map((name) => [name, []]));
  const own = new Map<string, Tensor>();
  for await (const { level, shared, increments, corrections } of levels) {
    if (level === manifest.ladder.length - 1) for (const [name, tensor] of corrections) own.set(name, tensor);
    for (const [name, tensor] of shared) if (!name.startsWith('pca.')) tensors.set(name, tensor);
    for (const [name, tensor] of increments) pieces.get(name)?.push(tensor);
  }
  for (const [name, parts] of pieces) {
    const replaced = own.get(name);
    if (replaced) {
      tensors.set(name, replaced);
      continue;
    }
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part.data, at);
      at += part.data.length;
    }
    const rows = parts.reduce((sum, part) => sum + elementOf(part.shape, 0), 0);
    tensors.set(name, { shape: [rows, ...elementOf(parts, 0).shape.slice(1)], data });
  }
  return tensors;
}

function parseManifest(body: Uint8Array, folder: string): Manifest {
  try {
    const manifest = ManifestSchema.parse(JSON.parse(new TextDecoder().decode(body)));
    checkManifest(manifest);
    return manifest;
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new Problem(
      'invalid-checkpoint',
      `${folder}/manifest.json cannot be used: ${reason} It may come from another version of Concertina; publish the checkpoint again.`,
      {},
      { cause },
    );
  }
}

function corrupt(what: string, store: ObjectStore): Problem {
  return new Problem(
    'corrupt-checkpoint',
    `${what} in ${store.url} does not match its sha256: the stored bytes are damaged. Publish the checkpoint again.`,
  );
}
