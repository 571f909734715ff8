import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import { decimals, type ImageItem, textNotSupported } from '../image-input.ts';
import { embedOperation, ref } from '../operation.ts';
import type { ProblemShape } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import type { Asked, Dialect } from './dialect.ts';
import { acceptJson, budgetMember, parseJson } from './json-body.ts';

const PATH = '/v1/models/:model{[^/:]+:predict}';

const InstanceSchema = z.object({
  image: z.object({ bytesBase64Encoded: z.string() }).nullish(),
  text: z.string().nullish().describe('Refused: this model embeds images'),
});

/** Vertex AI's prediction request with the instances of its multimodal embeddings (cloud.google.com/vertex-ai, "predict"). */
const RequestSchema = z.object({
  instances: z.array(InstanceSchema).min(1),
  parameters: z.object({ dimension: z.int().positive().nullish(), compute_budget: budgetMember }).nullish(),
  compute_budget: budgetMember,
});

/** Google's errors (AIP-193): an object with the status and a sentence. */
const problem: ProblemShape = {
  contentType: 'application/json',
  body: ({ message, status, code }) => ({ error: { code: status, message, status: code } }),
};

const predict: Dialect<Asked> = {
  path: PATH,
  problem,
  operation: embedOperation({
    operationId: 'vertexPredict',
    summary: "Embed images as Vertex AI's multimodal embeddings do",
    parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
    request: { 'application/json': ref('VertexRequest') },
    answer: { 'application/json': { type: 'object' } },
    description: '`predictions` with an `imageEmbedding` each, in input order.',
    errors: { type: 'object', properties: { error: { type: 'object' } } },
  }),
  schemas: { VertexRequest: { schema: RequestSchema, io: 'input' } },
  accept: (head) => acceptJson(head.header('Content-Type'), 'predict'),
  parse(bytes, head) {
    const { instances, parameters, compute_budget } = parseJson(bytes, {
      schema: RequestSchema,
      example: '{"instances": [{"image": {"bytesBase64Encoded": "base64 of a picture"}}]}',
      expected:
        '{"instances": [{"image": {"bytesBase64Encoded"}}], "parameters"?: {"dimension"?, "compute_budget"?}}',
    });
    return {
      images: instances.map(imageOf),
      model: head.param('model')?.replace(/:predict$/, ''),
      vector: { dimensions: parameters?.dimension ?? undefined, normalize: true },
      budget: budgetFromBody(parameters?.compute_budget ?? compute_budget),
      failure: 'request',
    };
  },
  render: ({ model, results }) => ({
    body: {
      predictions: results.flatMap((result) =>
        'vector' in result ? [{ imageEmbedding: decimals(result.vector) }] : [],
      ),
      deployedModelId: model.name,
    },
  }),
};

function imageOf({ image, text }: z.output<typeof InstanceSchema>, index: number): ImageItem {
  if (typeof text === 'string') return textNotSupported(text);
  if (image) return image.bytesBase64Encoded;
  throw new Problem('malformed-body', `instances.${index}: there is no "image" with "bytesBase64Encoded".`);
}

/** Vertex AI's predictions. */
export const vertex: readonly Route[] = [imageRoute(predict)];
