import type { Context } from 'hono';
import type { Level, Precision } from '../../checkpoint/index.ts';
import type { ServedModel } from '../../serving/index.ts';
import { totalTokens } from '../../vit/index.ts';
import type { GatewayEnvironment } from '../environment.ts';
import { jsonAnswer, KEYED_PROBLEMS, problemResponses, ref } from '../operation.ts';
import type { Route } from '../route.ts';
import {
  type LevelResponse,
  type ModelResponse,
  ModelResponseSchema,
  ModelsResponseSchema,
} from './model-schemas.ts';

const listModels: Route = {
  method: 'GET',
  path: '/v1/models',
  access: 'keyed',
  needs: 'models',
  operation: {
    operationId: 'listModels',
    summary: 'The models and their ladders',
    responses: { 200: jsonAnswer('Models', ref('ModelsResponse')), ...problemResponses(KEYED_PROBLEMS) },
  },
  schemas: { ModelsResponse: { schema: ModelsResponseSchema, io: 'output' } },
  handler: ({ registry }) =>
    async function listModels(c: Context<GatewayEnvironment>): Promise<Response> {
      return c.json({ object: 'list', data: await Promise.all(registry.all().map(describe)) });
    },
};

const getModel: Route = {
  method: 'GET',
  path: '/v1/models/:id',
  access: 'keyed',
  needs: 'models',
  operation: {
    operationId: 'getModel',
    summary: 'One model: per level FLOPs, fidelity and the time it takes here',
    parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
    responses: {
      200: jsonAnswer('The model', ref('ModelResponse')),
      ...problemResponses([...KEYED_PROBLEMS, 'unknown-model']),
    },
  },
  schemas: { ModelResponse: { schema: ModelResponseSchema, io: 'output' } },
  handler: ({ registry }) =>
    async function getModel(c: Context<GatewayEnvironment>): Promise<Response> {
      const model = registry.get(c.req.param('id'));
      c.get('notes').model = model.name;
      return c.json(await describe(model));
    },
};

/** The ladders, with what each level takes on this machine. */
export const models: readonly Route[] = [listModels, getModel];

async function describe(model: ServedModel): Promise<ModelResponse> {
  const { config } = model;
  return {
    id: model.name,
    object: 'model',
    created: model.created,
    owned_by: 'concertina',
    digest: model.digest,
    embedding_space: await model.space(),
    architecture: config.architecture,
    image_size: config.imageSize,
    dimensions: config.embeddingWidth,
    components: model.components?.count ?? 0,
    blocks: {
      depth: config.depth,
      heads: config.heads,
      channels: config.channels,
      tokens: totalTokens(config),
    },
    ladder: model.ladder.map((level, index) => describeLevel(model, level, index)),
  };
}

function describeLevel(model: ServedModel, level: Level, index: number): LevelResponse {
  const loaded = index <= model.loaded;
  const predicted = (precision: Precision) => Number(model.predict(index, precision).toFixed(3));
  return {
    level: index,
    flops: level.share,
    gflops: level.flops / 1e9,
    params: level.params,
    memory: level.memory,
    fidelity: level.fidelity.fp32.mean,
    fidelity_p5: level.fidelity.fp32.p5,
    ...(loaded ? { predicted_ms: predicted('fp32') } : {}),
    loaded,
    heads: level.heads,
    channels: level.channels,
    merge: level.merge,
    queries: level.queries,
    values: level.values,
    precisions: Object.fromEntries(
      model.precisions.flatMap((precision) => {
        const worth = level.fidelity[precision];
        if (!worth) return [];
        const time = loaded ? { predicted_ms: predicted(precision) } : {};
        return [[precision, { fidelity: worth.mean, fidelity_p5: worth.p5, ...time }]];
      }),
    ),
  };
}
