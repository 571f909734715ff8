import type { RecipeInput } from '../schema.ts';

/**
 * SnapViT as published and as its authors' runs were made, quirks included: shared crops, squares of summed gradients,
 * 50 evaluations of xNES from identity covariance, 1000 images, SparseGPT with 1 % of the mean diagonal.
 */
export const snapvitReference: RecipeInput = {
  name: 'snapvit-reference',
  images: { fit: 1000, held: 200 },
  criterion: {
    kind: 'snapvit',
    local: {
      images: 1000,
      batch: 16,
      accumulate: 'sum',
      views: {
        mode: 'reference',
        global: { count: 2, area: [0.25, 1] },
        local: { count: 10, area: [0.05, 0.25] },
        aspect: [3 / 4, 4 / 3],
      },
    },
    start: [1.2, 0.8],
    evolution: {
      evaluations: 50,
      population: 'default',
      images: 1000,
      components: 192,
      pairs: [
        [0.15, 0],
        [0.35, 0.2],
        [0.55, 0.4],
        [0.65, 0.5],
      ],
      covariance: 'identity',
    },
  },
  protection: { heads: 0.2, channels: 0.05 },
  correction: { kind: 'sparsegpt', images: 128, damping: 0.01, statistic: 'mean' },
  path: { kind: 'snapvit' },
  components: 512,
  storage: 'fp16',
};
