import { describe, expectTypeOf, it } from 'vitest';
import type { Budget, LimitedBy as ServerLimitedBy } from '../../src/budget/index.ts';
import type { Precision as ServerPrecision } from '../../src/checkpoint/index.ts';
import {
  ConcertinaClient,
  type EmbeddedItem,
  type Embedding,
  type EmbedOptions,
  type Image,
  type Level,
  type LimitedBy,
  type Model,
  type Precision,
} from '../../src/client/index.ts';
import type { ModelResponse } from '../../src/gateway/index.ts';

type LevelResponse = ModelResponse['ladder'][number];

/** Members that OpenAI's clients expect of a model and nobody else needs. */
type OpenAiMember = 'object' | 'created' | 'owned_by';

/** Checked by `npm run types`; what is here never needs to run. */
describe('the types of the client', () => {
  const client = new ConcertinaClient({ baseUrl: 'http://127.0.0.1:8787' });

  it('are those of the schemas that the gateway parses and answers with', () => {
    expectTypeOf<keyof Level>().toEqualTypeOf<keyof LevelResponse>();
    expectTypeOf<LevelResponse>().toExtend<Level>();
    expectTypeOf<keyof Model>().toEqualTypeOf<Exclude<keyof ModelResponse, OpenAiMember>>();
    expectTypeOf<ModelResponse>().toExtend<Model>();
    expectTypeOf<LimitedBy>().toEqualTypeOf<ServerLimitedBy>();
    expectTypeOf<Precision>().toEqualTypeOf<ServerPrecision>();
  });

  it('have every term of a budget, and only those', () => {
    expectTypeOf<keyof Budget>().toEqualTypeOf<
      Exclude<keyof EmbedOptions, 'strict' | 'model' | 'dimensions' | 'normalize' | 'space' | 'signal'>
    >();
    expectTypeOf<EmbedOptions['latency']>().toEqualTypeOf<number | undefined>();
    // @ts-expect-error a budget is numbers
    void (() => client.embed('data:', { latency: '40' }));
    // @ts-expect-error no such term
    void (() => client.embed('data:', { seconds: 1 }));
    // @ts-expect-error an image is bytes, a blob or a string
    void (() => client.embed(7));
  });

  it('say what comes back', () => {
    expectTypeOf(client.embed).parameter(0).toEqualTypeOf<Image>();
    expectTypeOf(client.embed).returns.resolves.toEqualTypeOf<Embedding>();
    expectTypeOf<Embedding['embedding']>().toEqualTypeOf<Float32Array>();
    expectTypeOf(client.embedMany).returns.resolves.toEqualTypeOf<EmbeddedItem[]>();
    expectTypeOf(client.models).returns.resolves.toEqualTypeOf<Model[]>();
  });
});
