import { createRandom } from '../../src/pruning/data/random.ts';
import { expectedTensors, type Tensor, type TensorMap, type VitConfig } from '../../src/vit/index.ts';

/** ViTs with 16 x 16 patches at 224 pixels, by size: width, heads. */
const SIZES = { Ti: [192, 3], S: [384, 6], B: [768, 12] } as const;
export type Size = keyof typeof SIZES;

export function vitConfig(size: Size): VitConfig {
  const [width, heads] = SIZES[size];
  return {
    architecture: `ViT-${size}/16`,
    imageSize: 224,
    patchSize: 16,
    width,
    depth: 12,
    heads,
    headDim: 64,
    channels: 4 * width,
    mlp: 'plain',
    activation: 'gelu',
    layerNormEps: 1e-6,
    prefix: { cls: true, distillation: false, registers: 0 },
    preNorm: false,
    rope: null,
    pool: 'cls',
    finalNorm: 'before-pool',
    attentionPool: null,
    embeddingWidth: width,
    classes: 0,
    preprocessing: {
      cropPct: 0.9,
      interpolation: 'bicubic',
      cropMode: 'center',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
  };
}

/** Random weights of a realistic scale: uniform, variance about 1 / fan-in; norms near one. */
export function randomWeights(config: VitConfig, seed = 1): TensorMap {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of expectedTensors(config)) {
    const random = createRandom(seed, name);
    const size = shape.reduce((product, side) => product * side, 1);
    const norm = /norm\d?\.weight$/.test(name);
    const scale = norm || name.endsWith('.bias') ? 0.2 : 3.4 / Math.sqrt(config.width);
    const data = new Float32Array(size);
    for (let i = 0; i < size; i++) data[i] = (norm ? 1 : 0) + scale * (random.uniform() - 0.5);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/** Random normalised pixels `[count, 3, size, size]`. */
export function randomPixels(config: VitConfig, count: number, seed = 99): Float32Array {
  const random = createRandom(seed, 'pixels');
  return Float32Array.from({ length: count * 3 * config.imageSize ** 2 }, () => 4 * (random.uniform() - 0.5));
}
