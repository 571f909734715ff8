import type { RecipeInput } from '../schema.ts';

/** For a first look: SnapViT's local score with its initial factors, few views, nothing evolved or corrected. */
export const quick: RecipeInput = {
  name: 'quick',
  images: { fit: 32, held: 32 },
  criterion: {
    kind: 'snapvit',
    local: {
      images: 32,
      batch: 16,
      accumulate: 'sum',
      views: {
        mode: 'independent',
        global: { count: 2, area: [0.25, 1] },
        local: { count: 2, area: [0.05, 0.25] },
        aspect: [3 / 4, 4 / 3],
      },
    },
    start: [1.2, 0.8],
    evolution: null,
  },
  protection: { heads: 0.2, channels: 0.05 },
  correction: { kind: 'none' },
  path: { kind: 'snapvit' },
  components: 128,
  storage: 'split',
  int8: { least: 0.9985, keep: 0 },
};
