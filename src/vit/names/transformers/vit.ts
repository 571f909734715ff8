import { baseConfig, type Family } from '../family.ts';
import type { BlockNames } from '../network-names.ts';

/** Blocks of transformers' ViT and DeiT. */
export function vitBlock(index: number): BlockNames {
  const at = `encoder.layer.${index}`;
  return {
    norm1: `${at}.layernorm_before`,
    norm2: `${at}.layernorm_after`,
    qkv: {
      query: `${at}.attention.attention.query`,
      key: `${at}.attention.attention.key`,
      value: `${at}.attention.attention.value`,
    },
    proj: `${at}.attention.output.dense`,
    fc1: `${at}.intermediate.dense`,
    fc2: `${at}.output.dense`,
  };
}

/** ViT: AugReg and DINO checkpoints (`model_type: vit`); the same network in MSN (`vit_msn`) and as the encoder of MAE (`vit_mae`). */
export const transformersVit: Family = {
  name: 'ViT, MSN, MAE',
  naming: 'transformers',
  prefixes: ['', 'vit.'],
  landmark: 'embeddings.patch_embeddings.projection.weight',
  matches: (_, { family }) => family === 'vit' || family === 'vit_msn' || family === 'vit_mae',

  config: (source, hints) => ({
    ...baseConfig(hints, {
      patch: source.shape('embeddings.patch_embeddings.projection.weight'),
      depth: source.count('encoder.layer.'),
      channels: source.side('encoder.layer.0.intermediate.dense.weight', 0),
    }),
  }),

  names: () => ({
    patch: 'embeddings.patch_embeddings.projection',
    cls: 'embeddings.cls_token',
    positions: { table: 'embeddings.position_embeddings', rows: 'all', antialias: false },
    block: vitBlock,
    norm: 'layernorm',
  }),

  unused: /^pooler\.|^classifier\.|^embeddings\.mask_token$|^decoder\./,
};
