import type { Family } from '../family.ts';
import { transformersVit, vitBlock } from './vit.ts';

/** DeiT with its distillation token: the embedding is the mean of both tokens. */
export const transformersDeit: Family = {
  ...transformersVit,
  name: 'DeiT',
  prefixes: ['', 'deit.'],
  matches: (_, { family }) => family === 'deit',

  config: (source, hints) => ({
    ...transformersVit.config(source, hints),
    prefix: { cls: true, distillation: true, registers: 0 },
    pool: 'cls-distillation',
  }),

  names: () => ({
    patch: 'embeddings.patch_embeddings.projection',
    cls: 'embeddings.cls_token',
    distillation: 'embeddings.distillation_token',
    positions: { table: 'embeddings.position_embeddings', rows: 'all', antialias: false },
    block: vitBlock,
    norm: 'layernorm',
  }),
};
