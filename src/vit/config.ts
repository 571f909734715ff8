import { z } from 'zod';

const positive = z.number().int().positive();
const triple = z.tuple([z.number(), z.number(), z.number()]);

/** How an image becomes the network's input. */
export const PreprocessingSchema = z.strictObject({
  /** The image is resized to `floor(input / cropPct)`, then the centre `input x input` is cut out. */
  cropPct: z.number().positive().max(1),
  interpolation: z.enum(['bicubic', 'bilinear', 'lanczos']),
  /** What is resized to that length: `center` the short side, in proportion; `squash` both sides (SigLIP, DeiT). */
  cropMode: z.enum(['center', 'squash']),
  /** Per channel RGB, after scaling pixels to [0, 1]. */
  mean: triple,
  std: triple.refine((std) => std.every((value) => value > 0), 'must be positive'),
});
export type Preprocessing = z.infer<typeof PreprocessingSchema>;

/**
 * How alike two tokens are when tokens merge: `(1 - rows) cos(keys) + rows cos(rows of the stream) - sizes (ln s + ln s') -
 * attention z`, `s` being the patches that a token stands for and `z` what [CLS] attends to a patch of the token that goes: the
 * softmax over patches of its logits' mean over heads, an even share being 1, within {@link ATTENTION_RANGE}. With attention
 * averages are weighted by `s z`, without by `s`. Without a rule only keys count, as in Bolya et al. 2023.
 */
export const MergingSchema = z.strictObject({
  /** Share of the residual stream's rows after attention, beside the keys. */
  rows: z.number().min(0).max(1),
  /** How much a token that stands for many patches is spared. */
  sizes: z.number().min(0).max(10),
  /** How much a token that [CLS] attends to is spared; nothing in a network without [CLS]. */
  attention: z.number().min(0).max(10),
});
export type Merging = z.infer<typeof MergingSchema>;

/** What [CLS] attends to a patch counts within these bounds. */
export const ATTENTION_RANGE = [1 / 16, 4] as const;

/**
 * What a Vision Transformer is, for every family of the paper. Layer scale needs no field: it is folded into
 * `attn.proj` and `mlp.fc2` when weights are read, exactly.
 */
export const VitConfigSchema = z
  .strictObject({
    /** As the source names it, for people: `vit_tiny_patch16_224`. */
    architecture: z.string().min(1).max(200),
    /** Side of the square input, pixels. */
    imageSize: positive.max(4096),
    patchSize: positive.max(256),
    /** Width `D` of the residual stream. */
    width: positive.max(16384),
    /** Blocks `B`. */
    depth: positive.max(256),
    /** Heads `H` per block. */
    heads: positive.max(256),
    /** Head dimension `dh`. */
    headDim: positive.max(1024),
    /** MLP hidden width `M` per block; with a gated MLP the width of each of the two branches. */
    channels: positive.max(65536),
    mlp: z.enum(['plain', 'gated']),
    /** `gelu` is the erf form; `gelu-tanh` its approximation; `quick-gelu` is x * sigmoid(1.702 x). */
    activation: z.enum(['gelu', 'gelu-tanh', 'quick-gelu', 'silu']),
    layerNormEps: z.number().positive().max(0.1),
    /** Tokens before the patches, in order. Never pruned, never merged away. */
    prefix: z.strictObject({
      cls: z.boolean(),
      distillation: z.boolean(),
      /** Storage (register) tokens. */
      registers: z.number().int().min(0).max(64),
    }),
    /** A LayerNorm between the embedding and the first block (CLIP). */
    preNorm: z.boolean(),
    /** Rotary position embedding on the patch tokens, or none. Dimensions of a head lie in halves, angles of rows come first. */
    rope: z
      .strictObject({
        /** Base of the periods. */
        theta: z.number().positive(),
        /**
         * Absent: patch centres in [-1, 1], times 2 pi (DINOv3). Else positions count patches from `offset` on (Perception Encoder,
         * EVA-02); with `patches` as on a grid of that many a side, whatever the input's.
         */
        grid: z.strictObject({ offset: z.number(), patches: positive.optional() }).optional(),
      })
      .nullable(),
    /**
     * How tokens become one embedding. `cls`: the [CLS] token. `cls-distillation`: mean of [CLS] and the
     * distillation token. `mean`: mean of the patch tokens. `attention`: an attention-pooling head with a learned probe.
     */
    pool: z.enum(['cls', 'cls-distillation', 'mean', 'attention']),
    /** What `mean` and `attention` read where there are prefix tokens. Absent: the mean patches, the attention pool all. */
    poolTokens: z.enum(['patches', 'all']).optional(),
    /** Whether the final LayerNorm runs on the tokens (before pooling), on the pooled vector (after), or not at all. */
    finalNorm: z.enum(['before-pool', 'after-pool', 'none']),
    /** Heads and hidden width of the attention-pooling head; null for other pools. */
    attentionPool: z.strictObject({ heads: positive, channels: positive }).nullable(),
    /** Width of the embedding: `width`, or that of a final projection (CLIP). */
    embeddingWidth: positive.max(16384),
    /** Classes of the network's own head, 0 when it has none. Only evaluation uses it. */
    classes: z.number().int().min(0).max(1_000_000),
    preprocessing: PreprocessingSchema,
    /** Absent: tokens merge by their keys alone. */
    merging: MergingSchema.optional(),
    /**
     * What counts as a unit of attention. Absent: a head. `dimensions`: the j-th query-key dimension of every head together, and
     * the j-th value dimension of every head together with what `proj` makes of it; heads are all kept. Not with rotary embedding,
     * which turns dimensions in pairs.
     */
    attentionUnits: z.literal('dimensions').optional(),
  })
  .refine(({ rope, attentionUnits }) => rope === null || attentionUnits === undefined, {
    path: ['attentionUnits'],
    message: 'dimensions cannot be units where a rotary embedding turns them in pairs',
  });
export type VitConfig = z.infer<typeof VitConfigSchema>;

/** The rule by which tokens of this network merge. */
export function mergingOf({ merging, prefix }: VitConfig): Merging {
  if (!merging) return { rows: 0, sizes: 0, attention: 0 };
  return prefix.cls ? merging : { ...merging, attention: 0 };
}

/** Prefix tokens `P`: [CLS], distillation, registers. */
export function prefixTokens(config: VitConfig): number {
  return Number(config.prefix.cls) + Number(config.prefix.distillation) + config.prefix.registers;
}

/** The first token that pooling by `mean` or `attention` reads. */
export function firstPooled(config: VitConfig): number {
  const reads = config.poolTokens ?? (config.pool === 'mean' ? 'patches' : 'all');
  return reads === 'patches' ? prefixTokens(config) : 0;
}

/** Patch tokens `N`. */
export function patchTokens(config: VitConfig): number {
  const side = Math.floor(config.imageSize / config.patchSize);
  return side * side;
}

/** All tokens `T` that enter the first block. */
export function totalTokens(config: VitConfig): number {
  return prefixTokens(config) + patchTokens(config);
}
