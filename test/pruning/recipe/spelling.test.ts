import { describe, expect, it } from 'vitest';
import { parseRecipe, SHIPPED_RECIPES } from '../../../src/pruning/recipe/read-recipe.ts';
import { asStoredPath, asStoredRecipe } from '../../../src/pruning/recipe/spelling.ts';

describe('the kinds of a recipe', () => {
  it('may be written with the older name of the parts of `best`', () => {
    const older = {
      ...SHIPPED_RECIPES.best,
      criterion: { kind: 'best', settings: { projections: 2 } },
      correction: { kind: 'best', settings: {} },
      path: { kind: 'best', settings: { images: 8 } },
    };
    expect(parseRecipe(older)).toMatchObject({
      criterion: { kind: 'gate-curvature', settings: { projections: 2 } },
      correction: { kind: 'ridge', settings: {} },
      path: { kind: 'joint-search', settings: { images: 8 } },
    });
  });

  it('name the part that is meant, wherever it stands', () => {
    const swapped = { ...SHIPPED_RECIPES.best, criterion: { kind: 'ridge', settings: {} } };
    expect(() => parseRecipe(swapped)).toThrow('criterion');
    for (const nothing of [undefined, null, 'best', []])
      expect(() => parseRecipe(nothing)).toThrow('cannot be used');
  });

  it('are stored as they always were, and read again from there', () => {
    for (const shipped of Object.values(SHIPPED_RECIPES)) {
      const recipe = parseRecipe(shipped);
      const stored = asStoredRecipe(recipe);
      expect(Object.keys(stored)).toEqual(Object.keys(recipe));
      expect(JSON.stringify(stored)).not.toMatch(/gate-curvature|joint-search|ridge"?,"settings/);
      expect(parseRecipe(stored)).toEqual(recipe);
    }
    expect(asStoredRecipe(parseRecipe(SHIPPED_RECIPES.best)).path).toEqual({ kind: 'best', settings: {} });
    expect([asStoredPath('joint-search'), asStoredPath('snapvit')]).toEqual(['best', 'snapvit']);
  });
});
