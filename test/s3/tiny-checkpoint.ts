import type { CheckpointContent } from '../../src/checkpoint/index.ts';
import { fullVariant, type TensorMap } from '../../src/vit/index.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

/** So that the weights fill several of the megabytes that a checkpoint is read in. */
const CHANNELS = 3000;

/** A checkpoint of about five megabytes unless it has fewer channels; another seed gives other weights. */
export function tinyCheckpoint(seed: number, channels = CHANNELS): CheckpointContent {
  const config = tinyConfig({ width: 64, embeddingWidth: 64, channels });
  const part = (...shares: number[]) => shares.map((share) => Math.round(share * channels));
  const full = fullVariant(config);
  const ones = { fp32: { mean: 1, p5: 1 } };
  const order = (count: number) => full.heads.map(() => Array.from({ length: count }, (_, unit) => unit));
  return {
    model: 'tiny',
    config,
    tensors: tinyTensors(config, seed),
    units: { heads: order(config.heads), channels: order(config.channels) },
    levels: [
      { heads: [1, 2, 1], channels: part(0.25, 0.3, 0.2), merge: [0, 0, 0], fidelity: ones },
      { heads: [2, 2, 3], channels: part(0.6, 0.65, 0.7), merge: [0, 0, 0], fidelity: ones },
      { ...full, fidelity: ones },
    ],
    ranking: new Map([['scores', { shape: [2], data: Float32Array.of(1, 2) }]]),
    keepFp32: [],
    provenance: {
      tool: 'test',
      recipe: { name: 'test' },
      seed,
      path: 'snapvit',
      source: { weights: '0'.repeat(64), config: '0'.repeat(64) },
      images: { digest: '0'.repeat(64), used: 1, skipped: 0 },
    },
    dtype: 'F32',
  };
}

/** Names of the tensors that are not there bit by bit. */
export function differing(found: TensorMap, expected: TensorMap): string[] {
  return [...expected].flatMap(([name, { data }]) => {
    const other = found.get(name)?.data;
    return other && Buffer.compare(bytesOf(other), bytesOf(data)) === 0 ? [] : [name];
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  Buffer.from(buffer, byteOffset, byteLength);
