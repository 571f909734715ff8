import { z } from 'zod';
import { PrecisionSchema } from '../../checkpoint/index.ts';

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
  embedding_space: z.string(),
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
