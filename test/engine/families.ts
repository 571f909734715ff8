import type { VitConfig } from '../../src/vit/index.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const attentionPool = { heads: 3, channels: 18 };

/** Every switch of a ViT's configuration, on networks of a few thousand parameters with 16 patches. */
export const FAMILIES: Readonly<Record<string, VitConfig>> = Object.fromEntries(
  Object.entries({
    plain: {},
    'mean pooling, norm after it, tanh GELU': {
      pool: 'mean',
      finalNorm: 'after-pool',
      activation: 'gelu-tanh',
    },
    'distillation token': {
      pool: 'cls-distillation',
      prefix: { cls: true, distillation: true, registers: 0 },
    },
    'attention pooling, no prefix': {
      pool: 'attention',
      attentionPool,
      prefix: { cls: false, distillation: false, registers: 0 },
      activation: 'gelu-tanh',
    },
    'rotary positions, registers, gated MLP': {
      rope: { theta: 100 },
      prefix: { cls: true, distillation: false, registers: 4 },
      mlp: 'gated',
      activation: 'silu',
    },
    'norm before the blocks, projection, quick GELU': {
      preNorm: true,
      embeddingWidth: 7,
      finalNorm: 'after-pool',
      activation: 'quick-gelu',
    },
    'tokens that merge by keys, rows and sizes': { merging: { rows: 0.5, sizes: 0.2, attention: 0 } },
    'tokens that merge by what [CLS] attends to': {
      merging: { rows: 0.3, sizes: 0.1, attention: 0.3 },
      prefix: { cls: true, distillation: false, registers: 2 },
      pool: 'mean',
    },
    'dimensions as units of attention': {
      attentionUnits: 'dimensions',
      headDim: 5,
      merging: { rows: 0.4, sizes: 0.1, attention: 0.2 },
      prefix: { cls: true, distillation: false, registers: 1 },
      pool: 'mean',
    },
    'no final norm, ragged image': { finalNorm: 'none', imageSize: 18, pool: 'mean' },
  } satisfies Record<string, Partial<VitConfig>>).map(([name, changes]) => [
    name,
    tinyConfig({ imageSize: 16, ...changes }),
  ]),
);
