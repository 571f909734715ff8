import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ModelResponse, OpenApiDocument } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { PROBLEMS } from '../../src/problem/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

describe('the OpenAPI document of a running gateway', () => {
  let server: RunningServer;
  let document: OpenApiDocument;

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    document = (await (await fetch(`${server.url}/openapi.json`)).json()) as OpenApiDocument; // validated below
  });
  afterAll(() => server.close());

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate({ ...structuredClone(document) });
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('resolves every reference and documents problems under the status that they have', () => {
    for (const [, name] of JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g))
      expect(document.components.schemas).toHaveProperty(name ?? '');
    const responses = document.paths['/v1/embeddings']?.post?.responses ?? {};
    expect(Object.keys(responses).length).toBeGreaterThan(8);
    for (const [status, { description }] of Object.entries(responses))
      for (const [, code] of description.matchAll(/`([\w-]+)`:/g))
        expect(String(PROBLEMS[code as keyof typeof PROBLEMS]?.status)).toBe(status);
  });

  it('describes what is really answered: lists with a failed image, models, problems', async () => {
    const image = dataUri(await picture());
    const post = async (body: unknown) =>
      await (
        await fetch(`${server.url}/v1/embeddings`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).json();
    const get = async (path: string) => await (await fetch(`${server.url}${path}`)).json();
    const schema = (name: keyof OpenApiDocument['components']['schemas']) =>
      z.fromJSONSchema(document.components.schemas[name] as Parameters<typeof z.fromJSONSchema>[0]); // JSON Schema 2020-12
    for (const [name, body] of [
      ['EmbeddingsResponse', await post({ input: [image, 'data:,x'], error_policy: 'per_item' })],
      ['EmbeddingsResponse', await post({ input: image, encoding_format: 'base64' })],
      ['ModelResponse', await get('/v1/models/tiny')],
      ['ModelsResponse', await get('/v1/models')],
      ['Problem', await post({ input: 'a cat' })],
      ['Problem', await get('/v1/models/huge')],
    ] as const)
      expect([name, schema(name).safeParse(body).error?.issues]).toEqual([name, undefined]);
    // The check can fail: what is no answer is none.
    expect(schema('EmbeddingsResponse').safeParse({ object: 'list', data: [{}] }).success).toBe(false);
  });

  it('describes the dimensions that a level keeps, which not every network has', async () => {
    const schema = z.fromJSONSchema(
      document.components.schemas.ModelResponse as Parameters<typeof z.fromJSONSchema>[0], // JSON Schema 2020-12
    );
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const cut = await startServer({ store: await tinyStore({ config }), port: 0, workers: 1 });
    const model = (await (await fetch(`${cut.url}/v1/models/tiny`)).json()) as ModelResponse; // checked below
    await cut.close();
    expect(schema.safeParse(model).error?.issues).toBeUndefined();
    const wrong = { ...model, ladder: model.ladder.map((level) => ({ ...level, values: 2 })) };
    expect(schema.safeParse(wrong).success).toBe(false);
  });
});
