import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { embedOperation, ref } from '../operation.ts';
import { encodeVector, type OutputType, OutputTypeSchema } from '../output-type.ts';
import type { ProblemShape } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import { type Asked, type Dialect, usageOf } from './dialect.ts';
import { onlyImage } from './items.ts';
import { acceptJson, budgetMember, parseJson } from './json-body.ts';

const PATH = '/v1/multimodalembeddings';

/** Voyage's multimodal embeddings (docs.voyageai.com/reference/multimodal-embeddings-api): one picture in each input. */
const RequestSchema = z.object({
  model: z.string().nullish(),
  inputs: z.array(z.object({ content: z.array(z.looseObject({ type: z.string() })) })).min(1),
  input_type: z.string().nullish(),
  truncation: z.boolean().nullish(),
  output_encoding: z.literal('base64').nullish(),
  output_dimension: z.int().positive().nullish(),
  output_dtype: OutputTypeSchema.nullish(),
  compute_budget: budgetMember,
});

interface AskedVoyage extends Asked {
  readonly format: 'float' | 'base64';
  readonly type: OutputType;
}

/** Voyage's errors are one sentence. */
const problem: ProblemShape = {
  contentType: 'application/json',
  body: ({ message, code }) => ({ detail: message, code }),
};

const embed: Dialect<AskedVoyage> = {
  path: PATH,
  problem,
  operation: embedOperation({
    operationId: 'voyageMultimodalEmbeddings',
    summary: "Embed images as Voyage's multimodal embeddings do",
    request: { 'application/json': ref('VoyageRequest') },
    answer: { 'application/json': { type: 'object' } },
    description: 'Embeddings in input order.',
    errors: { type: 'object', properties: { detail: { type: 'string' } } },
  }),
  schemas: { VoyageRequest: { schema: RequestSchema, io: 'input' } },
  accept: (head) => acceptJson(head.header('Content-Type'), PATH),
  parse(bytes) {
    const body = parseJson(bytes, {
      schema: RequestSchema,
      example:
        '{"inputs": [{"content": [{"type": "image_base64", "image_base64": "data:image/jpeg;base64,…"}]}]}',
      expected: '{"model"?, "inputs": [{"content": [one image]}], "output_encoding"?, "output_dimension"?}',
    });
    return {
      images: body.inputs.map(({ content }, index) => onlyImage(content, `inputs.${index}.content`)),
      model: body.model ?? undefined,
      vector: { dimensions: body.output_dimension ?? undefined, normalize: true },
      budget: budgetFromBody(body.compute_budget),
      failure: 'request',
      format: body.output_encoding ?? 'float',
      type: body.output_dtype ?? 'float',
    };
  },
  render(answer, { format, type }) {
    const { gflops, patches } = usageOf(answer);
    const side = answer.model.config.imageSize;
    const data = answer.results.flatMap((result, index) =>
      'vector' in result
        ? [{ object: 'embedding', embedding: encodeVector(result.vector, type, format), index }]
        : [],
    );
    return {
      body: {
        object: 'list',
        data,
        model: answer.model.name,
        usage: {
          text_tokens: 0,
          image_pixels: side ** 2 * data.length,
          video_pixels: 0,
          total_tokens: patches,
          gflops,
        },
        embedding_space: answer.space,
      },
    };
  },
};

/** Voyage's multimodal embeddings. */
export const voyage: readonly Route[] = [imageRoute(embed)];
