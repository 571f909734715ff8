import type { Family } from '../family.ts';
import { transformersVit, vitBlock } from './vit.ts';

/** I-JEPA: no class token; the embedding is the mean of the patches, as its own head for classes takes it. */
export const transformersIjepa: Family = {
  ...transformersVit,
  name: 'I-JEPA',
  prefixes: ['', 'ijepa.'],
  matches: (_, { family }) => family === 'ijepa',

  config: (source, hints) => ({
    ...transformersVit.config(source, hints),
    prefix: { cls: false, distillation: false, registers: 0 },
    pool: 'mean',
  }),

  names: () => ({
    patch: 'embeddings.patch_embeddings.projection',
    positions: { table: 'embeddings.position_embeddings', rows: 'patches', antialias: false },
    block: vitBlock,
    norm: 'layernorm',
  }),
};
