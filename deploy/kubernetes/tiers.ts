import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseTiers } from '../../src/serving/index.ts';

/** What a tier's `scaling` says to container platforms; other platforms read other members. */
const ScalingSchema = z.looseObject({
  memoryMb: z.number().int().positive(),
  minReplicas: z.number().int().nonnegative(),
  maxReplicas: z.number().int().positive(),
  concurrencyTarget: z.number().positive(),
});

export interface ScaledTier extends z.infer<typeof ScalingSchema> {
  readonly name: string;
  /** Thousandths of a core: as many per MB as Lambda gives. */
  readonly cpuMillis: number;
}

export const TIERS_FILE = join(import.meta.dirname, '../tiers.yaml');
/** Lambda gives one core for so many MB; the tiers say memory once for all platforms, and it decides the cores here too. */
const MB_PER_CORE = 1769;

/** The tiers of the configuration that the gateway itself reads. @throws Problem('invalid-settings'), ZodError */
export function scaledTiers(text = readFileSync(TIERS_FILE, 'utf8')): ScaledTier[] {
  return Object.entries(parseTiers(parse(text))).map(([name, { scaling }]) => {
    const parsed = ScalingSchema.parse(scaling);
    return { ...parsed, name, cpuMillis: Math.max(500, Math.round((1000 * parsed.memoryMb) / MB_PER_CORE)) };
  });
}
