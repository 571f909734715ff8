import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { best } from './recipes/best.ts';
import { bestTuned } from './recipes/best-tuned.ts';
import { compact } from './recipes/compact.ts';
import { compactTuned } from './recipes/compact-tuned.ts';
import { quick } from './recipes/quick.ts';
import { snapvitReference } from './recipes/snapvit-reference.ts';
import { type Recipe, type RecipeInput, RecipeSchema } from './schema.ts';
import { withPresentKinds } from './spelling.ts';

/** Recipes that come with the project. */
export const SHIPPED_RECIPES: Readonly<Record<string, RecipeInput>> = {
  best,
  'best-tuned': bestTuned,
  compact,
  'compact-tuned': compactTuned,
  quick,
  'snapvit-reference': snapvitReference,
};

/**
 * A recipe by its shipped name, or from a YAML or JSON file.
 * @throws Problem('invalid-recipe') that names the field
 */
export async function readRecipe(nameOrFile: string): Promise<Recipe> {
  const shipped = Object.hasOwn(SHIPPED_RECIPES, nameOrFile) ? SHIPPED_RECIPES[nameOrFile] : undefined;
  if (shipped) return parseRecipe(shipped, nameOrFile);
  const text = await readFile(nameOrFile, 'utf8').catch((cause: unknown) => {
    throw new Problem(
      'invalid-recipe',
      `There is no recipe "${nameOrFile}": it is neither a readable file nor one of ` +
        `${Object.keys(SHIPPED_RECIPES).join(', ')}.`,
      { recipe: nameOrFile, shipped: Object.keys(SHIPPED_RECIPES) },
      { cause },
    );
  });
  let data: unknown;
  try {
    // YAML 1.2 contains JSON.
    data = parseYaml(text);
  } catch (cause) {
    throw new Problem(
      'invalid-recipe',
      `The recipe ${nameOrFile} is neither YAML nor JSON: ${cause instanceof Error ? cause.message : cause}`,
      { recipe: nameOrFile },
      { cause },
    );
  }
  return parseRecipe(data, nameOrFile);
}

/** @throws Problem('invalid-recipe') that names the field */
export function parseRecipe(data: unknown, from = 'given'): Recipe {
  const parsed = RecipeSchema.safeParse(withPresentKinds(data));
  if (parsed.success) return parsed.data;
  throw new Problem(
    'invalid-recipe',
    `The recipe ${from} cannot be used:\n${z.prettifyError(parsed.error)}`,
    {
      recipe: from,
      issues: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })),
    },
  );
}
