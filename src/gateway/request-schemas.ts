import { z } from 'zod';
import { ComputeBudgetSchema } from '../budget/index.ts';
import { PrecisionSchema } from '../checkpoint/index.ts';

const image = z
  .union([z.string(), z.strictObject({ image: z.string() })])
  .describe('A data URI, bare base64, or an https URL where the gateway fetches URLs');

/** Body of `POST /v1/embeddings`: OpenAI's, plus `compute_budget` and `normalize`. Unknown members are ignored. */
export const EmbeddingsRequestSchema = z.object({
  model: z.string().optional().describe('Name of a model; the only or default one if absent'),
  input: z.union([image, z.array(image).min(1)]),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  dimensions: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('The first so many principal components of the embedding'),
  normalize: z.boolean().default(true).describe('Scale every embedding to length 1'),
  compute_budget: ComputeBudgetSchema.optional(),
  user: z.string().optional(),
});

const embedding = {
  level: z.int(),
  flops: z.number().describe("Share of the full network's FLOPs"),
  fidelity: z.number().describe("Published mean cosine to the full network's embedding"),
};

const problemMember = z.object({
  message: z.string(),
  type: z.string(),
  code: z.string(),
  param: z.null(),
});

/** One entry of the answer; with `error` the embedding is empty and the other images are unaffected. */
const ItemSchema = z.object({
  object: z.literal('embedding'),
  index: z.int(),
  embedding: z.union([z.array(z.number()), z.string()]),
  ...embedding,
  error: problemMember.optional(),
});

export const EmbeddingsResponseSchema = z.object({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(ItemSchema.partial({ level: true, flops: true, fidelity: true })),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});
export type EmbeddingsResponse = z.infer<typeof EmbeddingsResponseSchema>;

export const LevelResponseSchema = z.object({
  level: z.int(),
  flops: z.number(),
  gflops: z.number(),
  params: z.int(),
  memory: z.int(),
  fidelity: z.number(),
  fidelity_p5: z.number(),
  predicted_ms: z.number().optional().describe('On this machine, now; absent until the level is loaded'),
  loaded: z.boolean(),
  heads: z.array(z.int()),
  channels: z.array(z.int()),
  merge: z.array(z.int()),
  queries: z
    .array(z.int())
    .optional()
    .describe(
      'Query-key dimensions kept of every head, per block; absent where heads are left out as a whole',
    ),
  values: z
    .array(z.int())
    .optional()
    .describe('Value dimensions kept of every head, per block; absent where heads are left out as a whole'),
  precisions: z
    .partialRecord(
      PrecisionSchema,
      z.object({ fidelity: z.number(), fidelity_p5: z.number(), predicted_ms: z.number().optional() }),
    )
    .describe(
      'What the level is worth and takes in each arithmetic of this gateway; the members above are of fp32',
    ),
});
export type LevelResponse = z.infer<typeof LevelResponseSchema>;

export const ModelResponseSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
  digest: z.string(),
  architecture: z.string(),
  image_size: z.int(),
  dimensions: z.int(),
  components: z.int(),
  blocks: z.object({ depth: z.int(), heads: z.int(), channels: z.int(), tokens: z.int() }),
  ladder: z.array(LevelResponseSchema),
});
export type ModelResponse = z.infer<typeof ModelResponseSchema>;

export const ModelsResponseSchema = z.object({
  object: z.literal('list'),
  data: z.array(ModelResponseSchema),
});

export const ProblemResponseSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  instance: z.string(),
  error: problemMember,
});
