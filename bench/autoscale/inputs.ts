import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const StartSchema = z.strictObject({
  /** From the start of the process to its first answer at the smallest level, and until all levels are loaded, s. */
  first: z.number().positive(),
  all: z.number().positive(),
});

/** What the simulator takes from measurements; written by `bench/autoscale/measure.ts`. */
export const InputsSchema = z.strictObject({
  command: z.string(),
  machine: z.string(),
  model: z.string(),
  /** Smallest first. Time of one picture on one core, ms; `end` as in the manifest: bytes that the level needs, those before it included. */
  levels: z
    .array(
      z.strictObject({
        share: z.number(),
        fidelity: z.number(),
        median: z.number().positive(),
        p95: z.number().positive(),
        end: z.number().positive(),
      }),
    )
    .min(2),
  coldStart: z.strictObject({
    /** Where it was measured. */
    link: z.string(),
    elastic: StartSchema,
    fixed: StartSchema,
  }),
});
export type Inputs = z.infer<typeof InputsSchema>;

export const INPUTS_FILE = join(import.meta.dirname, 'inputs.json');

export function readInputs(): Inputs {
  return InputsSchema.parse(JSON.parse(readFileSync(INPUTS_FILE, 'utf8')));
}
