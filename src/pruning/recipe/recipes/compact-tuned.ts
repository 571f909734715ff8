import type { RecipeInput } from '../schema.ts';
import { compact } from './compact.ts';
import { tuned } from './tuned.ts';

/** `compact` on more pictures, and the weights of its levels tuned by their embeddings. */
export const compactTuned: RecipeInput = {
  ...compact,
  name: 'compact-tuned',
  images: tuned.images,
  criterion: { kind: 'gate-curvature', settings: { images: 320, measured: 96 } },
  correction: { kind: 'ridge', settings: { ...tuned.correction, enough: 0.995 } },
};
