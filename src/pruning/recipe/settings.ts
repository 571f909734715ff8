import { z } from 'zod';
import { Problem } from '../../problem/index.ts';

const count = z.number().int().positive();

/** Settings of the criterion `best`; each has a default. */
export const CriterionSettingsSchema = z.strictObject({
  /** Images of the gate derivatives. */
  images: count.default(128),
  /** Random projections of each image's embedding. */
  projections: count.default(4),
  /** `mean`: gates close onto mean activations. `zero`: onto zero. */
  centre: z.enum(['mean', 'zero']).default('mean'),
  /** Weight of the interactions between units, from none (0: the diagonal alone) to all that the samples show (1). */
  interactions: z.number().min(0).max(1).default(0),
  /** Images on which blocks and kinds of unit are measured against each other for the order in which units go; 0: not at all. */
  measured: z.number().int().nonnegative().default(0),
});
export type CriterionSettings = z.infer<typeof CriterionSettingsSchema>;

/** Settings of the correction `best`. */
export const CorrectionSettingsSchema = z.strictObject({
  /** `mean`: only biases, which take over what removed units gave on average. `ridge`: weights too. */
  kind: z.enum(['mean', 'ridge']).default('ridge'),
  /** Images that it is fitted on. */
  images: count.default(64),
  /**
   * Ridge towards the original weights, in mean diagonals of the Gram matrix; of several, ascending, every layer takes the one
   * that is best on a third of the images when it is fitted on the others.
   */
  ridge: z.union([z.number().positive(), z.array(z.number().positive()).min(2)]).default(3),
  /** Weight of the tokens that pooling reads, as a share of all tokens' weight. */
  pooledShare: z.number().min(0).max(1).default(0.2),
  /** Tokens count by `1 / |stream|^2`, because a LayerNorm follows; or all alike. */
  relative: z.boolean().default(true),
  /** Images, other than those, that decide how far the weights go towards the fitted ones. */
  trials: count.default(32),
  /** Levels that are as true as this without it are left alone: they are stored without tensors of their own. */
  enough: z.number().default(0.99),
  /** Times that the pictures for fitting are gone through to tune the level by its own embeddings; 0: not at all. */
  epochs: z.number().int().nonnegative().default(0),
  /** What is tuned: the biases of `attn.proj` and `mlp.fc2`; or their weights too, on random crops. */
  tune: z.enum(['biases', 'weights']).default('biases'),
  /** Highest step of that tuning. */
  rate: z.number().positive().default(5e-4),
});
export type CorrectionSettings = z.infer<typeof CorrectionSettingsSchema>;

/**
 * Checks the settings of a part of the recipe `best`.
 * @throws Problem('invalid-recipe') that names the field
 */
export function parseSettings<T>(schema: z.ZodType<T>, settings: unknown, part: string): T {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  throw new Problem(
    'invalid-recipe',
    `The settings of the ${part} "best" cannot be used:\n${z.prettifyError(parsed.error)}`,
    { part, issues: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
  );
}

/** Settings of the path `best`. */
export const PathSettingsSchema = z.strictObject({
  /** Images that every candidate is measured on. */
  images: count.default(48),
  /** Which of those for fitting: scores are made of the first, and what they remove looks dispensable there. */
  pictures: z.enum(['first', 'last']).default('first'),
  /** Mutations tried for every share, twice where units go. */
  candidates: z.number().int().nonnegative().default(40),
  /** Which dials a level may turn. */
  merging: z.boolean().default(true),
  units: z.boolean().default(true),
});
export type PathSettings = z.infer<typeof PathSettingsSchema>;
