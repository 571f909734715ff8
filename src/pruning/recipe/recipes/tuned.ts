import type { RecipeInput } from '../schema.ts';

type Settings = Extract<RecipeInput['correction'], { kind: 'ridge' }>['settings'];

/**
 * What recipes have in common that tune weights. More pictures than the others: what weights learn holds on other pictures as
 * far as there were enough of them.
 */
export const tuned: { readonly images: RecipeInput['images']; readonly correction: Settings } = {
  images: { fit: 432, held: 64 },
  correction: {
    images: 320,
    ridge: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
    tune: 'weights',
    epochs: 6,
    rate: 3e-5,
  },
};
