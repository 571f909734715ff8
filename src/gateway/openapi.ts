import { z } from 'zod';
import { PROBLEMS, type ProblemCode } from '../problem/index.ts';
import {
  EmbeddingsRequestSchema,
  EmbeddingsResponseSchema,
  ModelResponseSchema,
  ModelsResponseSchema,
  ProblemResponseSchema,
} from './request-schemas.ts';

const BUDGET =
  'What this request may spend, as an RFC 9651 dictionary: `latency=40, flops=0.7`. Keys: `latency` (ms, a target; `;strict` makes it a bound), `flops` (share of the full network, 0 to 1), `gflops`, `level`, `fidelity` (a floor), `deadline` (ms). Several ceilings: the tightest wins.';
const APPLIED =
  'What was run: `level=6, flops=0.704, fidelity=0.981, predicted=21.8, limited-by=latency`. `limited-by` is one of `none`, `latency`, `flops`, `level`, `tier`, `pressure`, `loading`.';

/** Problems of the gateway's routes, by status. */
const COMMON: readonly ProblemCode[] = [
  'missing-key',
  'unknown-key',
  'rate-limited',
  'tier-saturated',
  'internal-error',
  'not-ready',
  'loading-stopped',
  'overloaded',
  'draining',
];
const EMBED: readonly ProblemCode[] = [
  ...COMMON,
  'malformed-budget',
  'malformed-body',
  'unsupported-dimensions',
  'url-not-allowed',
  'unknown-model',
  'request-timeout',
  'body-too-large',
  'too-many-inputs',
  'unsupported-media-type',
  'undecodable-image',
  'too-many-pixels',
  'budget-unsatisfiable',
  'image-fetch-failed',
  'deadline-exceeded',
];

export type OpenApiDocument = ReturnType<typeof openApiDocument>;

/** The OpenAPI 3.1 document, from the schemas that requests are parsed with. */
export function openApiDocument(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Concertina',
      version,
      summary: 'Image embeddings, with as much of the network as the budget allows.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{}, { key: [] }],
    paths: {
      '/v1/embeddings': {
        post: {
          operationId: 'createEmbeddings',
          summary: 'Embed one or several images (OpenAI-compatible)',
          parameters: [budgetHeader],
          requestBody: {
            required: true,
            content: { 'application/json': { schema: ref('EmbeddingsRequest') } },
          },
          responses: {
            200: {
              description:
                'Embeddings in input order. An image that failed carries `error`; the others are unaffected.',
              headers: answerHeaders,
              content: { 'application/json': { schema: ref('EmbeddingsResponse') } },
            },
            ...problems(EMBED),
          },
        },
      },
      '/v1/embed': {
        post: {
          operationId: 'embed',
          summary: 'Embed raw image bytes, or a form of several images',
          parameters: [
            budgetHeader,
            query('model', { type: 'string' }, 'Name of a model; the only or default one if absent'),
            query('dimensions', { type: 'integer', minimum: 1 }, 'The first so many principal components'),
            query('normalize', { type: 'boolean', default: true }, 'Scale the embedding to length 1'),
          ],
          requestBody: {
            required: true,
            content: {
              'image/*': { schema: { type: 'string', format: 'binary' } },
              'multipart/form-data': {
                schema: {
                  type: 'object',
                  properties: {
                    image: { type: 'array', items: { type: 'string', format: 'binary' } },
                    compute_budget: { type: 'string', description: 'JSON' },
                  },
                },
              },
            },
          },
          responses: {
            200: {
              description: 'The embedding; a list under `data` for a form.',
              headers: answerHeaders,
              content: {
                'application/json': {
                  schema: {
                    type: 'object',
                    properties: {
                      model: { type: 'string' },
                      embedding: { type: 'array', items: { type: 'number' } },
                      level: { type: 'integer' },
                      flops: { type: 'number' },
                      fidelity: { type: 'number' },
                    },
                  },
                },
                'application/octet-stream': {
                  schema: { type: 'string', format: 'binary', description: 'float32, little-endian' },
                },
              },
            },
            ...problems([...EMBED, 'not-acceptable']),
          },
        },
      },
      '/v1/models': {
        get: {
          operationId: 'listModels',
          summary: 'The models and their ladders',
          responses: { 200: json('Models', 'ModelsResponse'), ...problems(COMMON) },
        },
      },
      '/v1/models/{id}': {
        get: {
          operationId: 'getModel',
          summary: 'One model: per level FLOPs, fidelity and the time it takes here',
          parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
          responses: { 200: json('The model', 'ModelResponse'), ...problems([...COMMON, 'unknown-model']) },
        },
      },
      '/livez': { get: probe('live', 'Whether the process answers') },
      '/readyz': {
        get: { ...probe('ready', 'Whether every worker has embedded an image'), security: [{}] },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Prometheus metrics',
          security: [{}],
          responses: {
            200: {
              description: 'Text exposition',
              content: { 'text/plain': { schema: { type: 'string' } } },
            },
          },
        },
      },
    },
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'concertina keys create' } },
      schemas: {
        EmbeddingsRequest: schemaOf(EmbeddingsRequestSchema, 'input'),
        EmbeddingsResponse: schemaOf(EmbeddingsResponseSchema, 'output'),
        ModelResponse: schemaOf(ModelResponseSchema, 'output'),
        ModelsResponse: schemaOf(ModelsResponseSchema, 'output'),
        Problem: schemaOf(ProblemResponseSchema, 'output'),
      },
    },
  };
}

const budgetHeader = {
  name: 'Compute-Budget',
  in: 'header',
  required: false,
  description: BUDGET,
  schema: { type: 'string' },
  example: 'latency=40, flops=0.7',
};

const answerHeaders = {
  'Compute-Applied': { description: APPLIED, schema: { type: 'string' } },
  'Server-Timing': { description: 'fetch, decode, queue, infer (ms)', schema: { type: 'string' } },
  'X-Request-Id': { schema: { type: 'string' } },
  RateLimit: { schema: { type: 'string' } },
  'RateLimit-Policy': { schema: { type: 'string' } },
};

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` };
}

function query(name: string, schema: Record<string, unknown>, description: string) {
  return { name, in: 'query', required: false, schema, description };
}

function json(description: string, schema: string) {
  return { description, content: { 'application/json': { schema: ref(schema) } } };
}

function probe(operationId: string, summary: string) {
  return {
    operationId,
    summary,
    security: [{}],
    responses: {
      200: { description: 'Yes', content: { 'application/json': { schema: { type: 'object' } } } },
      ...problems(operationId === 'ready' ? ['not-ready', 'loading-stopped', 'draining'] : []),
    },
  };
}

function problems(codes: readonly ProblemCode[]) {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: ref('Problem') } },
      },
    ]),
  );
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output') {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' });
  return rest;
}
