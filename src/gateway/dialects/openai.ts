import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import type { ImageItem } from '../image-input.ts';
import { embedOperation, ref } from '../operation.ts';
import { encodeVector, type OutputType, OutputTypeSchema } from '../output-type.ts';
import { ErrorSchema, problemBody } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import { type Answer, type Asked, type Dialect, usageOf } from './dialect.ts';
import { ItemsSchema, imageItems, onlyImage } from './items.ts';
import { acceptJson, budgetMember, documented, parseJson } from './json-body.ts';

/** OpenAI's body and Jina's, plus `compute_budget`, `normalize` and `error_policy`. `null` is absent; unknown members are ignored. */
const EmbeddingsRequestSchema = z.object({
  model: z.string().nullish().describe('Name of a model; the only or default one if absent'),
  input: documented(ItemsSchema).optional(),
  messages: z
    .array(z.looseObject({ content: z.unknown() }))
    .min(1)
    .nullish()
    .describe('In place of `input`, as vLLM has it: a conversation with one picture'),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z
    .number()
    .int()
    .positive()
    .nullish()
    .describe('The first so many principal components of the embedding'),
  output_dtype: OutputTypeSchema.nullish().describe(
    "The type of the embedding's numbers, as Voyage names it",
  ),
  embedding_type: z
    .union([OutputTypeSchema, z.literal('base64'), z.array(OutputTypeSchema).length(1)])
    .nullish()
    .describe('The same, as Jina names it'),
  embedding_types: z.array(OutputTypeSchema).length(1).nullish().describe('The same, as Cohere names it'),
  normalize: z.boolean().nullish().describe('Scale every embedding to length 1; yes if absent'),
  normalized: z.boolean().nullish().describe('The same, as Jina names it'),
  error_policy: z
    .enum(['fail', 'per_item'])
    .nullish()
    .describe('What one bad image does: it fails the request, or has its problem in its place'),
  compute_budget: budgetMember,
  user: z.string().nullish(),
});
type EmbeddingsRequest = z.output<typeof EmbeddingsRequestSchema>;

/** One entry of the answer; with `error` the embedding is empty and the other images are unaffected. */
const ItemSchema = z.object({
  object: z.literal('embedding'),
  index: z.int(),
  embedding: z.union([z.array(z.number()), z.string()]),
  level: z.int().optional(),
  flops: z.number().optional().describe("Share of the full network's FLOPs"),
  fidelity: z.number().optional().describe("Published mean cosine to the full network's embedding"),
  error: ErrorSchema.optional(),
});

const EmbeddingsResponseSchema = z.object({
  object: z.literal('list'),
  model: z.string(),
  embedding_space: z.string().describe('Only embeddings of the same space can be compared'),
  data: z.array(ItemSchema),
  usage: z.object({
    prompt_tokens: z.int().describe('Patches of the images that were embedded'),
    total_tokens: z.int(),
    gflops: z.number().describe('What embedding them took, in units of 1e9 floating-point operations'),
  }),
});
type EmbeddingsResponse = z.infer<typeof EmbeddingsResponseSchema>;

export interface AskedEmbeddings extends Asked {
  readonly format: 'float' | 'base64';
  readonly type: OutputType;
}

const PATH = '/v1/embeddings';

/** `/v1/embeddings`, which other addresses take too. */
export const embeddings: Dialect<AskedEmbeddings> = {
  path: PATH,
  operation: embedOperation({
    operationId: 'createEmbeddings',
    summary: 'Embed one or several images (OpenAI-compatible)',
    request: { 'application/json': ref('EmbeddingsRequest') },
    answer: { 'application/json': ref('EmbeddingsResponse') },
    description:
      'Embeddings in input order. With `error_policy: "per_item"` an image that failed carries `error`, and the others are unaffected.',
  }),
  schemas: {
    EmbeddingsRequest: { schema: EmbeddingsRequestSchema, io: 'input' },
    EmbeddingsResponse: { schema: EmbeddingsResponseSchema, io: 'output' },
  },
  accept: (head) => acceptJson(head.header('Content-Type'), PATH),
  parse(bytes) {
    const body = parseJson(bytes, {
      schema: EmbeddingsRequestSchema,
      example: '{"input": "data:image/jpeg;base64,…"}',
      expected: '{"model"?, "input", "encoding_format"?, "dimensions"?, "compute_budget"?}',
    });
    return {
      images: imagesOf(body),
      model: body.model ?? undefined,
      vector: {
        dimensions: body.dimensions ?? undefined,
        normalize: body.normalize ?? body.normalized ?? true,
      },
      budget: budgetFromBody(body.compute_budget),
      failure: body.error_policy === 'per_item' ? 'item' : 'request',
      ...outputOf(body),
    };
  },
  render(answer, asked) {
    const { gflops, patches } = usageOf(answer);
    const body: EmbeddingsResponse = {
      object: 'list',
      model: answer.model.name,
      embedding_space: answer.space,
      data: answer.results.map((result, index) => itemOf(result, index, asked, answer.requestId)),
      usage: { prompt_tokens: patches, total_tokens: patches, gflops },
    };
    return { body };
  },
};

/** OpenAI's embeddings, Jina's and vLLM's. */
export const openai: readonly Route[] = [imageRoute(embeddings)];

/** Of `input`, or the one picture of a conversation. */
function imagesOf({ input, messages }: EmbeddingsRequest): ImageItem[] {
  if (!messages) return imageItems(input, 'input');
  if (input !== undefined && input !== null)
    throw new Problem('malformed-body', 'There are both "input" and "messages". Send one of them.');
  return [
    onlyImage(
      messages.flatMap(({ content }) => content),
      'messages',
    ),
  ];
}

/** What the vector is to be made of and written as; the names that other services have for it must not contradict each other. */
function outputOf(body: EmbeddingsRequest): Pick<AskedEmbeddings, 'format' | 'type'> {
  const { output_dtype, embedding_type, embedding_types, encoding_format } = body;
  const named = [output_dtype, embedding_type, embedding_types].flatMap((value) => value ?? []);
  const types = new Set(named.filter((name) => name !== 'base64'));
  if (types.size > 1)
    throw new Problem(
      'malformed-body',
      `The embedding is asked for as ${[...types].join(' and ')}. Ask for one type; POST /v2/embed gives several.`,
    );
  const [type = 'float'] = types;
  return { format: named.includes('base64') ? 'base64' : (encoding_format ?? 'float'), type };
}

function itemOf(
  result: Answer['results'][number],
  index: number,
  { format, type }: AskedEmbeddings,
  requestId: string,
): EmbeddingsResponse['data'][number] {
  if ('problem' in result) {
    const { error } = problemBody(result.problem, requestId);
    return { object: 'embedding', index, embedding: format === 'base64' ? '' : [], error };
  }
  const { vector, record } = result;
  const { level, flops, fidelity } = record;
  return {
    object: 'embedding',
    index,
    embedding: encodeVector(vector, type, format),
    level,
    flops,
    fidelity,
  };
}
