import { z } from 'zod';

const counts = z.array(z.number().int().nonnegative());

/** A variant as saved steps hold it. */
export const VariantSchema = z.strictObject({
  heads: counts,
  channels: counts,
  queries: counts.optional(),
  values: counts.optional(),
  merge: counts,
});
