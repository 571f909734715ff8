import { createRandom } from '../../src/pruning/random.ts';
import { expectedTensors, type Tensor, type TensorMap, type VitConfig } from '../../src/vit/index.ts';

/** A network small enough to be followed by hand: several blocks, heads and tokens. */
export function tinyConfig(changes: Partial<VitConfig> = {}): VitConfig {
  return {
    architecture: 'tiny',
    imageSize: 16,
    patchSize: 8,
    width: 12,
    depth: 3,
    heads: 3,
    headDim: 4,
    channels: 20,
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
      mean: [0.5, 0.45, 0.4],
      std: [0.25, 0.22, 0.2],
    },
    ...changes,
  };
}

/** Random tensors of the right shapes: normal weights scaled by fan-in, LayerNorm weights near one. */
export function randomTensors(config: VitConfig, seed = 1): TensorMap {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of expectedTensors(config)) {
    const random = createRandom(seed, name);
    const size = shape.reduce((product, side) => product * side, 1);
    const norm = /norm\d?\.weight$/.test(name);
    const scale = norm || name.endsWith('.bias') ? 0.1 : 1.5 / Math.sqrt(fanIn(config, name, shape));
    const data = Float32Array.from({ length: size }, () => (norm ? 1 : 0) + scale * random.normal());
    tensors.set(name, { shape, data });
  }
  return tensors;
}

function fanIn(config: VitConfig, name: string, shape: readonly number[]): number {
  if (name === 'embed.prefix' || name === 'embed.position') return 1;
  if (name.endsWith('attn.proj.weight')) return config.heads * config.headDim;
  if (name.endsWith('mlp.fc2.weight')) return config.channels;
  if (name === 'embed.patch.weight') return shape.slice(1).reduce((product, side) => product * side, 1);
  return shape.at(-1) ?? 1;
}
