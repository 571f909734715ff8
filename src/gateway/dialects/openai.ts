import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import type { EmbeddedImage } from '../embed-images.ts';
import { decimals, encodeBase64 } from '../image-input.ts';
import { embedOperation, ref } from '../operation.ts';
import { ErrorSchema, problemBody } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import type { Asked, Dialect } from './dialect.ts';
import { acceptJson, budgetMember, parseJson } from './json-body.ts';

const image = z
  .union([z.string(), z.strictObject({ image: z.string() })])
  .describe('A data URI, bare base64, or an https URL where the gateway fetches URLs');

/** Body of `POST /v1/embeddings`: OpenAI's, plus `compute_budget` and `normalize`. Unknown members are ignored. */
const EmbeddingsRequestSchema = z.object({
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
  compute_budget: budgetMember,
  user: z.string().optional(),
});

const embedding = {
  level: z.int(),
  flops: z.number().describe("Share of the full network's FLOPs"),
  fidelity: z.number().describe("Published mean cosine to the full network's embedding"),
};

/** One entry of the answer; with `error` the embedding is empty and the other images are unaffected. */
const ItemSchema = z.object({
  object: z.literal('embedding'),
  index: z.int(),
  embedding: z.union([z.array(z.number()), z.string()]),
  ...embedding,
  error: ErrorSchema.optional(),
});

const EmbeddingsResponseSchema = z.object({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(ItemSchema.partial({ level: true, flops: true, fidelity: true })),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});
type EmbeddingsResponse = z.infer<typeof EmbeddingsResponseSchema>;
type EmbeddingsRequest = z.output<typeof EmbeddingsRequestSchema>;

interface AskedEmbeddings extends Asked {
  readonly format: EmbeddingsRequest['encoding_format'];
}

const PATH = '/v1/embeddings';

const embeddings: Dialect<AskedEmbeddings> = {
  path: PATH,
  operation: embedOperation({
    operationId: 'createEmbeddings',
    summary: 'Embed one or several images (OpenAI-compatible)',
    request: { 'application/json': ref('EmbeddingsRequest') },
    answer: { 'application/json': ref('EmbeddingsResponse') },
    description:
      'Embeddings in input order. An image that failed carries `error`; the others are unaffected.',
  }),
  schemas: {
    EmbeddingsRequest: { schema: EmbeddingsRequestSchema, io: 'input' },
    EmbeddingsResponse: { schema: EmbeddingsResponseSchema, io: 'output' },
  },
  accept: (head) => acceptJson(head.header('Content-Type'), PATH),
  parse(bytes) {
    const { input, model, dimensions, normalize, encoding_format, compute_budget } = parseJson(bytes, {
      schema: EmbeddingsRequestSchema,
      example: '{"input": "data:image/jpeg;base64,…"}',
      expected: '{"model"?, "input", "encoding_format"?, "dimensions"?, "compute_budget"?}',
    });
    return {
      images: (Array.isArray(input) ? input : [input]).map((item) =>
        typeof item === 'string' ? item : item.image,
      ),
      model,
      vector: { dimensions, normalize },
      budget: budgetFromBody(compute_budget),
      failure: 'item',
      format: encoding_format,
    };
  },
  render({ model, results, requestId }, { format }) {
    const patches = patchesOf(model.config) * results.length;
    const body: EmbeddingsResponse = {
      object: 'list',
      model: model.name,
      data: results.map((result, index) => itemOf(result, index, format, requestId)),
      usage: { prompt_tokens: patches, total_tokens: patches },
    };
    return { body };
  },
};

/** OpenAI's embeddings. */
export const openai: readonly Route[] = [imageRoute(embeddings)];

/** What OpenAI calls prompt tokens: the patches that the network looks at. */
function patchesOf({ imageSize, patchSize }: { imageSize: number; patchSize: number }): number {
  return Math.floor(imageSize / patchSize) ** 2;
}

function itemOf(
  result: EmbeddedImage,
  index: number,
  format: AskedEmbeddings['format'],
  requestId: string,
): EmbeddingsResponse['data'][number] {
  if ('problem' in result) {
    const { error } = problemBody(result.problem, requestId);
    return { object: 'embedding', index, embedding: format === 'base64' ? '' : [], error };
  }
  const { vector, record } = result;
  return {
    object: 'embedding',
    index,
    embedding: format === 'base64' ? encodeBase64(vector) : decimals(vector),
    level: record.level,
    flops: record.flops,
    fidelity: record.fidelity,
  };
}
