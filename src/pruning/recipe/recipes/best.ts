import type { RecipeInput } from '../schema.ts';

/** The default: gate curvature, the joint search and the ridge, with their own default numbers. */
export const best: RecipeInput = {
  name: 'best',
  images: { fit: 256, held: 64 },
  criterion: { kind: 'gate-curvature', settings: {} },
  protection: { heads: 0, channels: 0.05 },
  correction: { kind: 'ridge', settings: {} },
  path: { kind: 'joint-search', settings: {} },
  merging: { rows: 0.5, sizes: 0.05, attention: 0.05 },
  components: 512,
  storage: 'split',
  int8: { least: 0.9985, keep: 0.25 },
};
