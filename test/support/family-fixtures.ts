import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** One folder per family and naming, made by tools/make-fixtures/families.py. */
export const FIXTURE_FAMILIES = join(import.meta.dirname, '../fixtures/families');
/** Pictures of each fixture. */
export const IMAGES = 2;

const rows = z.array(z.array(z.number()));
const ExpectedSchema = z.object({
  imageSize: z.number(),
  embedding: rows,
  logits: rows.optional(),
  removed: z.object({ heads: rows, channels: rows }),
  pruned: rows,
  /** The same network at another size of its input. */
  resized: z.object({ imageSize: z.number(), embedding: rows }).optional(),
});

/** What the library that saved the network computes with it in float64. */
export function readExpected(name: string): z.infer<typeof ExpectedSchema> {
  return ExpectedSchema.parse(
    JSON.parse(readFileSync(join(FIXTURE_FAMILIES, name, 'expected.json'), 'utf8')),
  );
}

/** `[2, 3, size, size]`: the same exact fractions as in tools/make-fixtures/families.py. */
export function fixturePixels(size: number): Float32Array {
  return Float32Array.from({ length: IMAGES * 3 * size * size }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1);
}
