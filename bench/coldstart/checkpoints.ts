import { type LevelDraft, publishCheckpoint } from '../../src/checkpoint/index.ts';
import { gatherRows } from '../../src/checkpoint/layout.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import {
  fullVariant,
  type Tensor,
  type TensorMap,
  type Variant,
  type VitConfig,
} from '../../src/vit/index.ts';

/** Heads and channels that the smallest level keeps, of 3 and 768, in each block. */
const SMALLEST = {
  heads: [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3],
  channels: [601, 637, 640, 656, 684, 673, 684, 711, 745, 710, 566, 385],
};
/**
 * The ladder that the recipe `best` gave a real AugReg ViT-Ti: tokens merged in each block from 0.3 to 1 of the FLOPs, with the
 * fidelity that its search saw. All levels but the smallest keep all units.
 */
const LADDER: readonly (readonly [fidelity: number, merge: readonly number[]])[] = [
  [0.698, [44, 27, 16, 20, 30, 0, 15, 15, 6, 11, 0, 0]],
  [0.849, [27, 24, 22, 26, 14, 16, 9, 12, 20, 0, 5, 0]],
  [0.933, [16, 15, 20, 17, 9, 16, 18, 14, 21, 14, 16, 0]],
  [0.974, [0, 0, 19, 34, 10, 20, 13, 16, 14, 10, 13, 0]],
  [0.989, [0, 0, 3, 8, 19, 16, 25, 14, 21, 23, 3, 0]],
  [0.996, [0, 0, 0, 0, 11, 12, 20, 15, 16, 15, 8, 0]],
  [0.999, [0, 0, 0, 0, 6, 6, 9, 7, 9, 6, 4, 0]],
  [1, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
];

/** The levels of the ladder for a network of twelve blocks of any width. */
function variants(config: VitConfig): Variant[] {
  const full = fullVariant(config);
  return LADDER.map(([, merge], level) => {
    if (level > 0) return { ...full, merge };
    return {
      heads: SMALLEST.heads.map((kept) => Math.round((kept * config.heads) / 3)),
      channels: SMALLEST.channels.map((kept) => Math.round((kept * config.channels) / 768)),
      merge,
    };
  });
}

export interface Network {
  readonly name: string;
  readonly config: VitConfig;
  readonly tensors: TensorMap;
  /** Levels that have corrected matrices of their own (of the size of `best`'s): as many as `best` gave. */
  readonly corrected: number;
}

/** Names under which a network is published. */
export const elasticName = (name: string): string => `${name}-elastic`;
export const fixedName = (name: string): string => `${name}-fixed`;
export const LAST_LEVEL = LADDER.length - 1;

/** Publishes a network as an elastic checkpoint with the ladder of `best`, and as one of the full network alone in fp16. */
export async function publishNetwork(store: ObjectStore, network: Network): Promise<void> {
  const { name, config, tensors } = network;
  const order = (count: number) =>
    Array.from({ length: config.depth }, () => Array.from({ length: count }, (_, unit) => unit));
  const common = {
    config,
    tensors,
    units: { heads: order(config.heads), channels: order(config.channels) },
    ranking: new Map([['scores', { shape: [1], data: Float32Array.of(1) }]]),
    keepFp32: [],
    provenance: {
      tool: 'bench/coldstart',
      recipe: { name: 'bench' },
      seed: 0,
      path: 'best',
      source: { weights: '0'.repeat(64), config: '0'.repeat(64) },
      images: { digest: '0'.repeat(64), used: 1, skipped: 0 },
    },
  };
  const levels = variants(config).map((variant, index): LevelDraft => {
    const fidelity = LADDER[index]?.[0] ?? 1;
    const corrections = index < network.corrected ? ownMatrices(network, variant) : undefined;
    return {
      ...variant,
      fidelity: { fp32: { mean: fidelity, p5: fidelity } },
      ...(corrections && { corrections }),
    };
  });
  await publishCheckpoint(store, { ...common, model: elasticName(name), levels, dtype: 'split' });
  const only = { ...fullVariant(config), fidelity: { fp32: { mean: 1, p5: 1 } } };
  await publishCheckpoint(store, { ...common, model: fixedName(name), levels: [only], dtype: 'F16' });
}

/** What a correction replaces, uncorrected: the bytes are what matters here. */
function ownMatrices({ tensors }: Network, { heads, channels }: Variant): Map<string, Tensor> {
  const own = new Map<string, Tensor>();
  for (const [block, kept] of heads.entries()) {
    for (const [name, count] of [
      [`blocks.${block}.attn.proj`, kept],
      [`blocks.${block}.mlp.fc2`, channels[block] ?? 0],
    ] as const) {
      const [weight, bias] = [tensors.get(`${name}.weight`), tensors.get(`${name}.bias`)];
      if (!weight || !bias) throw new RangeError(`the network has no ${name}`);
      own.set(
        `${name}.weight`,
        gatherRows(
          weight,
          Array.from({ length: count }, (_, unit) => unit),
        ),
      );
      own.set(`${name}.bias`, bias);
    }
  }
  return own;
}
