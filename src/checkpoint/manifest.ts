import { z } from 'zod';
import { VitConfigSchema } from '../vit/index.ts';

/** Numbers that a level may be computed in. */
export const PrecisionSchema = z.enum(['fp32', 'int8']);
export type Precision = z.infer<typeof PrecisionSchema>;

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Cosine between a level's embeddings and the full network's, on held-out images. */
export const FidelitySchema = z.strictObject({
  mean: z.number().min(-1).max(1),
  /** 5th percentile. */
  p5: z.number().min(-1).max(1),
});
export type Fidelity = z.infer<typeof FidelitySchema>;

/** One rung of the ladder. */
export const LevelSchema = z.strictObject({
  /** Kept heads and channels of each block, and the tokens merged away in it: `[B]` each. */
  heads: z.array(count),
  channels: z.array(count),
  merge: z.array(count),
  /** Where dimensions are units: kept query-key and value dimensions of every head, `[B]` each. */
  queries: z.array(count).optional(),
  values: z.array(count).optional(),
  /** FLOPs of one image (1 multiply-add = 2), and their share of the full network's. */
  flops: z.number().positive(),
  share: z.number().positive().max(1),
  /** Parameters of the sub-network. */
  params: z.number().int().positive(),
  /** End of this level's bytes in the weights file, counted from its first byte: reading `[0, end)` is enough to run it. */
  end: z.number().int().positive(),
  /** Bytes of the weights in memory at fp32 while only this level is loaded. */
  memory: z.number().int().positive(),
  /** Measured fidelity for every precision that the level may run in. `fp32` is always there. */
  fidelity: z.strictObject({ fp32: FidelitySchema, int8: FidelitySchema.optional() }),
  /** Canonical names of tensors that are replaced at this level; stored as `levels.<k>.<name>`. */
  corrections: z.array(z.string()),
});
export type Level = z.infer<typeof LevelSchema>;

/** The levels of a checkpoint, smallest first; the last is the full network. */
export type Ladder = readonly Level[];

/** One tensor of the weights file, as the safetensors header also says it. */
export const StoredTensorSchema = z.strictObject({
  dtype: z.enum(['F32', 'F16', 'I8']),
  shape: z.array(count),
  /** Absolute byte range `[start, end)` in the weights file. */
  start: count,
  end: count,
});
export type StoredTensor = z.infer<typeof StoredTensorSchema>;

/** A checked piece of the weights file. Ranges cover the file without gaps; none spans two levels. */
export const RangeSchema = z.strictObject({ start: count, end: count, sha256, level: count });
export type StoredRange = z.infer<typeof RangeSchema>;

export const MANIFEST_VERSION = 1;

/** `<model>/<digest>/manifest.json`: everything about a checkpoint but its weights. */
export const ManifestSchema = z.strictObject({
  version: z.literal(MANIFEST_VERSION),
  /** Name under which it was published. */
  model: z.string(),
  config: VitConfigSchema,
  ladder: z.array(LevelSchema).min(1),
  weights: z.strictObject({
    /** Bytes of the whole weights file. */
    size: z.number().int().positive(),
    /** Bytes of the safetensors header with its length word: the first range is `[0, header)`. */
    header: z.number().int().positive(),
    tensors: z.record(z.string(), StoredTensorSchema),
    ranges: z.array(RangeSchema).min(1),
    /** The matrices of the units lie in two planes (`planes.ts`): I8 tensors with a scale for each row. */
    split: z.literal(true).optional(),
  }),
  ranking: z.strictObject({ size: z.number().int().positive(), sha256 }),
  /** Principal components of the full network's embeddings, stored as `pca.mean` and `pca.components`; 0 when absent. */
  components: count,
  /** Names of matrices (`blocks.3.mlp.fc2`) that stay fp32 in the int8 precision, because measurement asked for it. */
  keepFp32: z.array(z.string()),
  /** How the checkpoint came about. */
  provenance: z.strictObject({
    tool: z.string(),
    /** The recipe, with every number, as JSON. */
    recipe: z.json(),
    seed: z.number().int(),
    path: z.string(),
    source: z.strictObject({ weights: sha256, config: sha256 }),
    /** What was taken where the model's files are silent; absent where they say everything. */
    assumed: z.array(z.string()).readonly().optional(),
    /** Digest of the calibration images (sorted names and contents), how many were used, and how many were skipped. */
    images: z.strictObject({ digest: sha256, used: count, skipped: count }),
  }),
});
export type Manifest = z.infer<typeof ManifestSchema>;

/** `<model>/latest.json`: which digest is current. Published last, by a conditional put. */
export const LatestSchema = z.strictObject({ digest: sha256, published: z.iso.datetime().optional() });
export type Latest = z.infer<typeof LatestSchema>;
