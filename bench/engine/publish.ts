import { publishCheckpoint } from '../../src/checkpoint/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import type { BenchLevel } from '../common/ladder.ts';
import type { Network } from './networks.ts';

/** Publishes a ladder that says it is as faithful in int8 as in fp32, its full network more than the rest. */
export async function publish(
  store: ObjectStore,
  { config, tensors }: Network,
  ladder: readonly BenchLevel[],
): Promise<void> {
  const order = (count: number) =>
    Array.from({ length: config.depth }, () => Array.from({ length: count }, (_, i) => i));
  const digest = '0'.repeat(64);
  await publishCheckpoint(store, {
    model: 'bench',
    config: { ...config, classes: 0 },
    tensors: new Map([...tensors].filter(([name]) => !name.startsWith('head.'))),
    units: { heads: order(config.heads), channels: order(config.channels) },
    levels: ladder.map(({ variant }, level) => {
      const mean = level === ladder.length - 1 ? 1 : 0.5;
      return { ...variant, fidelity: { fp32: { mean, p5: mean }, int8: { mean, p5: mean } } };
    }),
    ranking: new Map(),
    keepFp32: [],
    provenance: {
      tool: 'bench',
      recipe: {},
      seed: 0,
      path: 'bench',
      source: { weights: digest, config: digest },
      images: { digest, used: 0, skipped: 0 },
    },
    dtype: 'split',
  });
}
