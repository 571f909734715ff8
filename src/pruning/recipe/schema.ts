import { z } from 'zod';
import { MergingSchema } from '../../vit/index.ts';

const count = z.number().int().positive();
const share = z.number().min(0).max(1);
const area = z.tuple([share, share]).refine(([low, high]) => low > 0 && low <= high, 'must be [low, high]');

const ViewsSchema = z.strictObject({
  mode: z.enum(['independent', 'reference']),
  global: z.strictObject({ count: z.number().int().min(2), area }),
  local: z.strictObject({ count: z.number().int().nonnegative(), area }),
  aspect: z.tuple([z.number().positive(), z.number().positive()]),
});

const LocalScoreSchema = z.strictObject({
  images: count,
  batch: count,
  accumulate: z.enum(['sum', 'fisher', 'fisher-per-image']),
  views: ViewsSchema,
});

const EvolutionSchema = z.strictObject({
  /** Fitness evaluations. */
  evaluations: count,
  /** Individuals of one generation; `default` is 4 + floor(3 ln n). */
  population: z.union([z.literal('default'), z.number().int().min(2)]),
  /** Images of the fitness. */
  images: count,
  /** Principal components that the cosine is taken in; embeddings no wider than that are left as they are. */
  components: count,
  /** Sparsity pairs (channels, heads) that the fitness is averaged over. */
  pairs: z.array(z.tuple([share, share])).min(1),
  covariance: z.enum(['identity', 'cka']),
});

/** Settings that the part checks itself. */
const settings = z.record(z.string(), z.json());

const CriterionSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('snapvit'),
    local: LocalScoreSchema,
    /** Factors of the first and of the last block, linear in between: where evolution starts, or all there is without it. */
    start: z.tuple([z.number().positive(), z.number().positive()]),
    evolution: EvolutionSchema.nullable(),
  }),
  z.strictObject({ kind: z.literal('random') }),
  z.strictObject({ kind: z.literal('magnitude') }),
  z.strictObject({ kind: z.literal('lamp') }),
  z.strictObject({ kind: z.literal('snip-magnitude'), local: LocalScoreSchema }),
  z.strictObject({ kind: z.literal('gate-curvature'), settings }),
  /** Released scores; the job is given the file. */
  z.strictObject({ kind: z.literal('released'), model: z.string(), sha256: z.string() }),
]);

const CorrectionSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({
    kind: z.literal('sparsegpt'),
    /** Calibration images whose tokens make the Hessian. */
    images: count,
    /** Share of `statistic` of the Hessian's diagonal that is added to it. */
    damping: z.number().positive(),
    statistic: z.enum(['mean', 'max', 'percentile-95']),
  }),
  z.strictObject({ kind: z.literal('ridge'), settings }),
]);

/** The named parts of a pruning job and all of their numbers. It is written into the checkpoint's provenance. */
export const RecipeSchema = z
  .strictObject({
    name: z.string().min(1).max(100),
    /** Calibration images wanted for fitting and, apart from them, for the published fidelity. */
    images: z.strictObject({ fit: count, held: count }),
    criterion: CriterionSchema,
    /**
     * What counts as a unit of attention: heads, or the dimensions of all heads together (`attentionUnits` of the network), which
     * the criterion `gate-curvature` and the path `joint-search` know. Networks with rotary embedding keep heads.
     */
    attention: z.enum(['heads', 'dimensions']).default('heads'),
    /** Shares of the units of a block that are never pruned. */
    protection: z.strictObject({ heads: share, channels: share }),
    correction: CorrectionSchema,
    path: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('snapvit') }),
      z.strictObject({ kind: z.literal('joint-search'), settings }),
    ]),
    /** By which rule tokens merge, in the path and ever after; null or absent: by their keys alone. */
    merging: MergingSchema.nullable().default(null),
    /** Principal components of the embeddings that are kept in the checkpoint, at most. */
    components: z.number().int().nonnegative(),
    /** What the weights are stored in. */
    storage: z.enum(['split', 'fp16', 'fp32']),
    /**
     * The int8 precision, which needs the storage `split`; null or absent: none. Where the full network's fidelity in it stays
     * below `least`, at most a share `keep` of the matrices of units is computed in fp32.
     */
    int8: z.strictObject({ least: share, keep: share }).nullable().default(null),
  })
  .refine(({ storage, int8 }) => int8 === null || storage === 'split', {
    path: ['int8'],
    message: 'needs the storage "split"',
  })
  .refine(
    ({ attention, criterion, path }) =>
      attention === 'heads' || (criterion.kind === 'gate-curvature' && path.kind === 'joint-search'),
    {
      path: ['attention'],
      message: 'dimensions need the criterion "gate-curvature" and the path "joint-search"',
    },
  );
export type Recipe = z.infer<typeof RecipeSchema>;
/** A recipe as it is written down, before defaults are filled in. */
export type RecipeInput = z.input<typeof RecipeSchema>;
export type SnapvitSettings = Extract<Recipe['criterion'], { kind: 'snapvit' }>;
export type EvolutionSettings = NonNullable<SnapvitSettings['evolution']>;
export type SparseGptSettings = Extract<Recipe['correction'], { kind: 'sparsegpt' }>;
