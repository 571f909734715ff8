import { type CheckpointContent, publishCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { fullVariant, unitCount, unitKinds } from '../../src/vit/index.ts';
import { tinyConfig, tinyTensors } from './tiny-vit.ts';

/** A published network of random weights with three levels; level 2 is the full one. */
export async function tinyStore(overrides: Partial<CheckpointContent> = {}): Promise<ObjectStore> {
  const store = memoryStore();
  await publishTiny(store, overrides);
  return store;
}

export async function publishTiny(store: ObjectStore, overrides: Partial<CheckpointContent> = {}, seed = 1) {
  const config = overrides.config ?? tinyConfig();
  const full = fullVariant(config);
  const order = (count: number) =>
    Array.from({ length: config.depth }, () => Array.from({ length: count }, (_, i) => i));
  const kinds = unitKinds(config);
  const part = (share: number) => ({
    ...full,
    ...Object.fromEntries(
      kinds.map((kind) => [kind, full[kind]?.map((count) => Math.ceil(count * share)) ?? []]),
    ),
  });
  return await publishCheckpoint(store, {
    model: 'tiny',
    config,
    tensors: tinyTensors(config, seed),
    units: {
      heads: order(config.heads),
      channels: order(config.channels),
      ...Object.fromEntries(kinds.map((kind) => [kind, order(unitCount(config, kind))])),
    },
    levels: [
      { ...part(0.3), fidelity: { fp32: { mean: 0.6, p5: 0.5 } } },
      { ...part(0.6), fidelity: { fp32: { mean: 0.9, p5: 0.8 } } },
      { ...full, fidelity: { fp32: { mean: 1, p5: 1 } } },
    ],
    ranking: new Map([['scores', { shape: [1], data: Float32Array.of(1) }]]),
    // The first two coordinates, shifted: easy to check by hand.
    components: {
      mean: Float32Array.from({ length: config.embeddingWidth }, (_, i) => i / 10),
      matrix: Float32Array.from({ length: 2 * config.embeddingWidth }, (_, i) =>
        i === 0 || i === config.embeddingWidth + 1 ? 1 : 0,
      ),
      count: 2,
    },
    keepFp32: [],
    provenance: {
      tool: 'test',
      recipe: { name: 'test' },
      seed: 0,
      path: 'snapvit',
      source: { weights: '0'.repeat(64), config: '0'.repeat(64) },
      images: { digest: '0'.repeat(64), used: 1, skipped: 0 },
    },
    dtype: 'F32',
    ...overrides,
  });
}
