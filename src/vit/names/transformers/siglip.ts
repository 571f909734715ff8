import { baseConfig, type Family } from '../family.ts';
import { encoderBlock } from './encoder.ts';

/** The image network of SigLIP and SigLIP 2: no [CLS], tokens pooled by attention of a learned probe. */
export const transformersSiglip: Family = {
  name: 'SigLIP',
  naming: 'transformers',
  prefixes: ['vision_model.', ''],
  landmark: 'embeddings.patch_embedding.weight',
  matches: (_, { family }) => family === 'siglip' || family === 'siglip_vision_model',

  config(source, hints) {
    const base = baseConfig(hints, {
      patch: source.shape('embeddings.patch_embedding.weight'),
      depth: source.count('encoder.layers.'),
      channels: source.side('encoder.layers.0.mlp.fc1.weight', 0),
    });
    return {
      ...base,
      prefix: { cls: false, distillation: false, registers: 0 },
      pool: 'attention',
      attentionPool: { heads: base.heads, channels: source.side('head.mlp.fc1.weight', 0) },
    };
  },

  names: () => {
    const joint = { weight: 'head.attention.in_proj_weight', bias: 'head.attention.in_proj_bias' };
    return {
      patch: 'embeddings.patch_embedding',
      positions: { table: 'embeddings.position_embedding.weight', rows: 'patches', antialias: false },
      block: encoderBlock,
      norm: 'post_layernorm',
      pool: {
        probe: 'head.probe',
        query: joint,
        keyValue: joint,
        proj: 'head.attention.out_proj',
        norm: 'head.layernorm',
        fc1: 'head.mlp.fc1',
        fc2: 'head.mlp.fc2',
      },
    };
  },

  unused: /^embeddings\.position_ids$/,
};
