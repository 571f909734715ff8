import type { RecipeInput } from '../schema.ts';
import { best } from './best.ts';
import { tuned } from './tuned.ts';

/** `best`, and the weights of its levels tuned by their embeddings: the truest levels, for whom an hour of pruning is not long. */
export const bestTuned: RecipeInput = {
  ...best,
  name: 'best-tuned',
  images: tuned.images,
  correction: { kind: 'ridge', settings: tuned.correction },
};
