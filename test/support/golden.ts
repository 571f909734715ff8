import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { normalise, readModel, type SourceModel, type VitConfig } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { AUGREG, DEIT, SHARED_DATA } from './shared-data.ts';

const rows = z.array(z.array(z.number()));
const merged = z.array(z.object({ schedule: z.array(z.number()), embedding: rows, flops: z.number() }));
const GoldenSchema = z.object({
  embedding: rows,
  top1: z.array(z.number()),
  subnetwork: z.object({ heads: rows, channels: rows, embedding: rows }),
  snapvit: z.object({ loss: z.number(), mlp: rows, head: rows }),
  merge: merged,
  merge_literal_order: merged,
});

/** Numbers of a separate float64 implementation (`../shared/data/golden`), for eight pictures. */
export type Golden = z.infer<typeof GoldenSchema>;
export const GOLDEN_PICTURES = 8;

export const GOLDEN_MODELS = { augreg: AUGREG, deit: DEIT } as const;
export type GoldenModel = keyof typeof GOLDEN_MODELS;

export function readGolden(model: GoldenModel): Golden {
  return GoldenSchema.parse(JSON.parse(readFileSync(join(SHARED_DATA, 'golden', `${model}.json`), 'utf8')));
}

export function readGoldenModel(model: GoldenModel): Promise<SourceModel> {
  return readModel(folderFiles(GOLDEN_MODELS[model]));
}

/** The eight pictures, normalised as the model asks: `[8, 3, 224, 224]`. */
export function goldenPixels(config: VitConfig): Float32Array {
  const raw = readFileSync(join(SHARED_DATA, 'golden/pixels.u8'));
  const each = 3 * config.imageSize ** 2;
  const pixels = new Float32Array(GOLDEN_PICTURES * each);
  for (let picture = 0; picture < GOLDEN_PICTURES; picture++) {
    const range = [picture * each, (picture + 1) * each] as const;
    normalise(raw.subarray(...range), config, pixels.subarray(...range));
  }
  return pixels;
}
