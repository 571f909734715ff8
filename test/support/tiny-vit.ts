import type { Tensor, VitConfig } from '../../src/vit/index.ts';
import { expectedTensors } from '../../src/vit/index.ts';

/** A network small enough for slow references: 3 blocks, 3 heads of 4, width 12, 7 channels, 9 patches. */
export function tinyConfig(overrides: Partial<VitConfig> = {}): VitConfig {
  return {
    architecture: 'vit_tiny_patch16_224',
    imageSize: 12,
    patchSize: 4,
    width: 12,
    depth: 3,
    heads: 3,
    headDim: 4,
    channels: 7,
    mlp: 'plain',
    activation: 'gelu',
    layerNormEps: 1e-6,
    prefix: { cls: true, distillation: false, registers: 0 },
    preNorm: false,
    rope: null,
    pool: 'cls',
    finalNorm: 'before-pool',
    attentionPool: null,
    embeddingWidth: 12,
    classes: 0,
    preprocessing: {
      cropPct: 1,
      interpolation: 'bicubic',
      cropMode: 'center',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
    ...overrides,
  };
}

/** A network that keeps a worker busy: about 50 ms an image with its 1024 patches, 8 ms with 256. */
export function busyConfig(patchSize = 4): VitConfig {
  return tinyConfig({
    imageSize: 128,
    patchSize,
    width: 192,
    heads: 3,
    headDim: 64,
    channels: 768,
    depth: 6,
    embeddingWidth: 192,
  });
}

/** Seeded uniform numbers in [-1, 1) (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
  };
}

/** Random canonical tensors; norm weights are near one, the rest within ±0.5. */
export function tinyTensors(config: VitConfig, seed = 1): Map<string, Tensor> {
  const next = uniform(seed);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of expectedTensors(config)) {
    const size = shape.reduce((product, side) => product * side, 1);
    const centre = /norm\d?\.weight$/.test(name) ? 1 : 0;
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => centre + next() / 2) });
  }
  return tensors;
}

/** Random pixels `[count, 3, size, size]`. */
export function tinyPixels(config: VitConfig, count: number, seed = 2): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: count * 3 * config.imageSize ** 2 }, next);
}
