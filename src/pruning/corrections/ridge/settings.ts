import { z } from 'zod';

const count = z.number().int().positive();

/** Settings of the correction `ridge`. */
export const RidgeSettingsSchema = z.strictObject({
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
export type RidgeSettings = z.infer<typeof RidgeSettingsSchema>;
