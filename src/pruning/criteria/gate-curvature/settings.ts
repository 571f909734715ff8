import { z } from 'zod';

const count = z.number().int().positive();

/** Settings of the criterion `gate-curvature`; each has a default. */
export const GateCurvatureSettingsSchema = z.strictObject({
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
export type GateCurvatureSettings = z.infer<typeof GateCurvatureSettingsSchema>;
