import { z } from 'zod';
import { Problem } from '../../problem/index.ts';

/**
 * Checks the settings of a part of a recipe.
 * @throws Problem('invalid-recipe') that names the field
 */
export function parseSettings<T>(schema: z.ZodType<T>, settings: unknown, part: string): T {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  throw new Problem(
    'invalid-recipe',
    `The settings of the ${part} cannot be used:\n${z.prettifyError(parsed.error)}`,
    { part, issues: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
  );
}
