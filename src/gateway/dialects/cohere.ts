import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import { textNotSupported } from '../image-input.ts';
import { embedOperation, ref } from '../operation.ts';
import { encodeVector, OUTPUT_TYPES } from '../output-type.ts';
import type { ProblemShape } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import { type Asked, type Dialect, usageOf } from './dialect.ts';
import { onlyImage } from './items.ts';
import { acceptJson, budgetMember, parseJson } from './json-body.ts';

const PATH = '/v2/embed';
const TYPES = [...OUTPUT_TYPES, 'base64'] as const;

/** Cohere's Embed v2 (docs.cohere.com/reference/embed), for pictures. */
const RequestSchema = z.object({
  model: z.string().nullish(),
  images: z.array(z.string()).min(1).nullish().describe('Data URIs'),
  inputs: z
    .array(z.object({ content: z.array(z.looseObject({ type: z.string() })) }))
    .min(1)
    .nullish(),
  texts: z.array(z.string()).min(1).nullish().describe('Refused: this model embeds images'),
  input_type: z.string().nullish(),
  embedding_types: z.array(z.enum(TYPES)).min(1).nullish(),
  output_dimension: z.int().positive().nullish(),
  compute_budget: budgetMember,
});

interface AskedCohere extends Asked {
  readonly types: readonly (typeof TYPES)[number][];
}

/** Cohere's errors are a sentence and the request's id. */
const problem: ProblemShape = {
  contentType: 'application/json',
  body: ({ message, code }, requestId) => ({ id: requestId, message, code }),
};

const embed: Dialect<AskedCohere> = {
  path: PATH,
  problem,
  operation: embedOperation({
    operationId: 'cohereEmbed',
    summary: "Embed images as Cohere's Embed v2 does",
    request: { 'application/json': ref('CohereEmbedRequest') },
    answer: { 'application/json': { type: 'object' } },
    description: 'Embeddings by type, in input order.',
    errors: { type: 'object', properties: { message: { type: 'string' } } },
  }),
  schemas: { CohereEmbedRequest: { schema: RequestSchema, io: 'input' } },
  accept: (head) => acceptJson(head.header('Content-Type'), PATH),
  parse(bytes) {
    const body = parseJson(bytes, {
      schema: RequestSchema,
      example: '{"input_type": "image", "images": ["data:image/jpeg;base64,…"]}',
      expected: '{"model"?, "images" or "inputs", "embedding_types"?, "output_dimension"?}',
    });
    const { images = [], inputs = [], texts = [] } = body;
    const items = [
      ...(images ?? []),
      ...(inputs ?? []).map(({ content }, index) => onlyImage(content, `inputs.${index}.content`)),
      ...(texts ?? []).map(textNotSupported),
    ];
    if (items.length === 0)
      throw new Problem('malformed-body', 'There is nothing to embed. Send "images" with data URIs.');
    return {
      images: items,
      model: body.model ?? undefined,
      vector: { dimensions: body.output_dimension ?? undefined, normalize: true },
      budget: budgetFromBody(body.compute_budget),
      failure: 'request',
      types: body.embedding_types ?? ['float'],
    };
  },
  render(answer, { types }) {
    const vectors = answer.results.flatMap((result) => ('vector' in result ? [result.vector] : []));
    const embeddings = Object.fromEntries(
      types.map((type) => [
        type,
        vectors.map((vector) =>
          type === 'base64' ? encodeVector(vector, 'float', 'base64') : encodeVector(vector, type, 'float'),
        ),
      ]),
    );
    const { gflops } = usageOf(answer);
    return {
      body: {
        id: answer.requestId,
        embeddings,
        texts: [],
        response_type: 'embeddings_by_type',
        meta: { api_version: { version: '2' }, billed_units: { images: vectors.length } },
        ...{ model: answer.model.name, embedding_space: answer.space, gflops },
      },
    };
  },
};

/** Cohere's Embed v2. */
export const cohere: readonly Route[] = [imageRoute(embed)];
