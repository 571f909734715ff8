import type { RecipeInput } from '../schema.ts';
import { best } from './best.ts';

/** `best` by units alone, dimensions in place of heads: small levels that need fewer bytes and less memory, because tokens stay. */
export const compact: RecipeInput = {
  ...best,
  name: 'compact',
  attention: 'dimensions',
  merging: null,
  criterion: { kind: 'gate-curvature', settings: { images: 192, measured: 64 } },
  correction: {
    kind: 'ridge',
    settings: { images: 192, enough: 0.995, ridge: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] },
  },
  path: { kind: 'joint-search', settings: { merging: false, pictures: 'last' } },
};
