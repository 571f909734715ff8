import type { RecipeInput } from '../recipe-schema.ts';
import { best } from './best.ts';

/** `best`, and the biases of its levels tuned by their embeddings: for the smallest levels, where there is time. */
export const bestTuned: RecipeInput = {
  ...best,
  name: 'best-tuned',
  correction: { kind: 'best', settings: { epochs: 3 } },
};
