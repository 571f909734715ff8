import type { RecipeInput } from '../recipe-schema.ts';
import { best } from './best.ts';

/** `best` by units alone, dimensions in place of heads: small levels that need fewer bytes and less memory, because tokens stay. */
export const compact: RecipeInput = {
  ...best,
  name: 'compact',
  attention: 'dimensions',
  merging: null,
  path: { kind: 'best', settings: { merging: false } },
};
