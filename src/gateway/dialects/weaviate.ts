import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import { decimals, textNotSupported } from '../image-input.ts';
import { embedOperation, probeOperation, ref } from '../operation.ts';
import type { ProblemShape } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { checkReady } from '../routes/health.ts';
import { imageRoute } from '../serve-images.ts';
import type { Answer, Asked, Dialect } from './dialect.ts';
import { budgetMember, parseJson } from './json-body.ts';

/** Body of multi2vec-clip's inference container. */
const VectorizeSchema = z.object({
  images: z.array(z.string()).nullish().describe('Base64 of pictures'),
  texts: z.array(z.string()).nullish().describe('Refused: this model embeds images'),
  compute_budget: budgetMember,
});

/** Body of img2vec-neural's. */
const VectorsSchema = z.object({
  id: z.string().nullish(),
  image: z.string().describe('Base64 of a picture'),
  compute_budget: budgetMember,
});

/** Weaviate reads `error` of whatever is not 200. */
const problem: ProblemShape = {
  contentType: 'application/json',
  body: ({ message, code }) => ({ error: message, code }),
};
const errors = { type: 'object', properties: { error: { type: 'string' } } };
/** Weaviate normalises where its distance asks for it. */
const vector = { normalize: true };

const vectorsOf = ({ results }: Answer): number[][] =>
  results.flatMap((result) => ('vector' in result ? [decimals(result.vector)] : []));

const vectorize: Dialect<Asked> = {
  path: '/vectorize',
  problem,
  operation: embedOperation({
    operationId: 'weaviateVectorize',
    summary: "Embed images as Weaviate's multi2vec-clip container does",
    request: { 'application/json': ref('WeaviateVectorize') },
    answer: { 'application/json': { type: 'object' } },
    description: 'Vectors in input order.',
    errors,
  }),
  schemas: { WeaviateVectorize: { schema: VectorizeSchema, io: 'input' } },
  parse(bytes) {
    const { images, texts, compute_budget } = parseJson(bytes, {
      schema: VectorizeSchema,
      example: '{"images": ["base64 of a picture"]}',
      expected: '{"images": [base64]}',
    });
    const items = [...(images ?? []), ...(texts ?? []).map(textNotSupported)];
    if (items.length === 0)
      throw new Problem(
        'malformed-body',
        'There is nothing to embed. Send "images" with base64 of pictures.',
      );
    return { images: items, vector, budget: budgetFromBody(compute_budget), failure: 'request' };
  },
  render: (answer) => ({ body: { textVectors: [], imageVectors: vectorsOf(answer) } }),
};

interface AskedVectors extends Asked {
  readonly id: string;
}

const vectors: Dialect<AskedVectors> = {
  path: '/vectors',
  problem,
  operation: embedOperation({
    operationId: 'weaviateVectors',
    summary: "Embed an image as Weaviate's img2vec-neural container does",
    request: { 'application/json': ref('WeaviateVectors') },
    answer: { 'application/json': { type: 'object' } },
    description: 'The vector.',
    errors,
  }),
  schemas: { WeaviateVectors: { schema: VectorsSchema, io: 'input' } },
  parse(bytes) {
    const { id, image, compute_budget } = parseJson(bytes, {
      schema: VectorsSchema,
      example: '{"id": "1", "image": "base64 of a picture"}',
      expected: '{"id"?, "image": base64}',
    });
    const budget = budgetFromBody(compute_budget);
    return { images: [image], vector, budget, failure: 'request', id: id ?? '' };
  },
  render(answer, { id }) {
    const [found = []] = vectorsOf(answer);
    return { body: { id, vector: found, dim: found.length } };
  },
};

/** What Weaviate asks its container before it uses it: both answer 204. */
const probe = (path: string, operationId: string, check: Route['handler']): Route => ({
  method: 'GET',
  path,
  access: 'open',
  needs: 'nothing',
  operation: probeOperation(operationId, 'What Weaviate asks its container before it uses it'),
  handler: check,
});

/** Weaviate's inference containers for pictures: multi2vec-clip and img2vec-neural. */
export const weaviate: readonly Route[] = [
  imageRoute(vectorize),
  imageRoute(vectors),
  probe('/.well-known/live', 'weaviateLive', () => (c) => c.body(null, 204)),
  {
    ...probe('/.well-known/ready', 'weaviateReady', (parts) => (c) => {
      checkReady(parts);
      return c.body(null, 204);
    }),
    needs: 'models',
  },
  {
    ...probe('/meta', 'weaviateMeta', ({ registry, version }) => (c) => {
      const model = registry.get(undefined);
      return c.json({ model: model.name, dim: model.config.embeddingWidth, version });
    }),
    needs: 'models',
    access: 'keyed',
  },
];
