import type { Recipe } from './schema.ts';

/**
 * The parts of the recipe `best` were once all of the kind `best`. Recipes may still be written so. Checkpoints go on being written
 * so, because their digest covers the recipe and the same job must give the same digest.
 */
const BEST = { criterion: 'gate-curvature', correction: 'ridge', path: 'joint-search' } as const;
const PARTS = ['criterion', 'correction', 'path'] as const;

/** A recipe as it was written down, with `best` replaced by what that part is called now. */
export function withPresentKinds(written: unknown): unknown {
  if (typeof written !== 'object' || written === null) return written;
  const recipe: Record<string, unknown> = { ...written };
  for (const name of PARTS) {
    const part = recipe[name];
    if (typeof part === 'object' && part !== null && 'kind' in part && part.kind === 'best')
      recipe[name] = { ...part, kind: BEST[name] };
  }
  return recipe;
}

/** The recipe as a checkpoint's provenance spells it. The order of its members stays. */
export function asStoredRecipe(recipe: Recipe): Record<string, unknown> {
  const stored: Record<string, unknown> = { ...recipe };
  for (const name of PARTS)
    if (recipe[name].kind === BEST[name]) stored[name] = { ...recipe[name], kind: 'best' };
  return stored;
}

/** The path's name as a checkpoint's provenance spells it. */
export function asStoredPath(name: string): string {
  return name === BEST.path ? 'best' : name;
}
