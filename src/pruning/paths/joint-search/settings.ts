import { z } from 'zod';

const count = z.number().int().positive();

/** Settings of the path `joint-search`. */
export const JointSearchSettingsSchema = z.strictObject({
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
export type JointSearchSettings = z.infer<typeof JointSearchSettingsSchema>;
