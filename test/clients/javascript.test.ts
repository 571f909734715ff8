import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OpenAIEmbeddings } from '@langchain/openai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

/** Clients that only these tests need are a package of their own: `npm ci --ignore-scripts --prefix test/clients`. */
const installed = (name: string) => existsSync(join(import.meta.dirname, 'node_modules', name));
const BROKEN = 'data:image/png;base64,bm90IGFuIGltYWdl';

let server: RunningServer;
let images: string[];
let expected: number[][];

beforeAll(async () => {
  server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
  await server.loaded();
  images = await Promise.all(
    ['#ff0000', '#00ff00', '#0000ff'].map(async (colour) => dataUri(await picture(colour))),
  );
  const { data } = await new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' }).embeddings.create({
    model: 'tiny',
    input: images,
    encoding_format: 'float',
  });
  expected = data.map(({ embedding }) => embedding.map(Math.fround));
});
afterAll(() => server.close());

const rounded = (vectors: readonly (readonly number[] | undefined)[] | undefined) =>
  vectors?.map((vector) => Array.from(vector ?? [], Math.fround));

describe('openai', () => {
  const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });

  it('embeds one, a list, 300, under a budget; one broken picture fails the request', async () => {
    const create = (input: string | string[], budget = '') =>
      client().embeddings.create({ model: 'tiny', input }, { headers: { 'Compute-Budget': budget } });
    const { data } = await create(images);
    expect(rounded(data.map(({ embedding }) => embedding))).toEqual(expected);
    expect((await create(Array(300).fill(images[0]))).data).toHaveLength(300);
    expect(
      (await create(images[0] ?? '', 'level=0').withResponse()).response.headers.get('Compute-Applied'),
    ).toContain('level=0');
    await expect(create([images[0] ?? '', BROKEN])).rejects.toBeInstanceOf(OpenAI.UnprocessableEntityError);
    await expect(create('a fish')).rejects.toMatchObject({ code: 'text-not-supported' });
    await expect(create(images, 'flop=1')).rejects.toMatchObject({ code: 'malformed-budget' });
  });
});

describe('@langchain/openai', () => {
  it('embeds documents, and raises what one broken picture is refused with', async () => {
    const model = new OpenAIEmbeddings({
      model: 'tiny',
      apiKey: 'any',
      maxRetries: 0,
      configuration: { baseURL: `${server.url}/v1` },
    });
    expect(rounded(await model.embedDocuments(images))).toEqual(expected);
    await expect(model.embedDocuments([images[0] ?? '', BROKEN])).rejects.toMatchObject({
      code: 'undecodable-image',
    });
  });
});

describe.skipIf(!installed('ai'))('ai, with @ai-sdk/openai (needs test/clients)', () => {
  it('embeds one and many, and raises what one broken picture is refused with', async () => {
    const [{ embed, embedMany }, { createOpenAI }] = await Promise.all([
      import('ai'),
      import('@ai-sdk/openai'),
    ]);
    const provider = createOpenAI({
      baseURL: `${server.url}/v1`,
      apiKey: 'any',
      headers: { 'Compute-Budget': 'level=2' },
    });
    const model = provider.embedding('tiny');
    const one = await embed({ model, value: images[0] ?? '', maxRetries: 0 });
    expect(rounded([one.embedding])).toEqual(expected.slice(0, 1));
    expect(one.usage.tokens).toBe(9);
    expect(rounded((await embedMany({ model, values: images, maxRetries: 0 })).embeddings)).toEqual(expected);
    await expect(embedMany({ model, values: [images[0] ?? '', BROKEN], maxRetries: 0 })).rejects.toThrow(
      /Send a JPEG/,
    );
  });
});

describe.skipIf(!installed('cohere-ai'))('cohere-ai (needs test/clients)', () => {
  it('embeds pictures by type, under a budget, and raises our sentence', async () => {
    const { CohereClientV2 } = await import('cohere-ai');
    const client = new CohereClientV2({ token: 'any', environment: server.url });
    const ask = (list: string[], budget: string) =>
      client.embed(
        { model: 'tiny', inputType: 'image', images: list, embeddingTypes: ['float', 'ubinary'] },
        { maxRetries: 0, headers: { 'Compute-Budget': budget } },
      );
    const { embeddings } = await ask(images, 'level=2');
    expect(rounded(embeddings.float)).toEqual(expected);
    expect(embeddings.ubinary?.map((bytes) => bytes.length)).toEqual([2, 2, 2]);
    await expect(ask([images[0] ?? '', BROKEN], '')).rejects.toThrow(/Send a JPEG/);
    await expect(ask(images, 'flop=1')).rejects.toThrow(/there is no term/);
  });
});

describe.skipIf(!installed('voyageai'))('voyageai (needs test/clients)', () => {
  it('embeds pictures, and raises our sentence', async () => {
    const { VoyageAIClient } = await import('voyageai');
    const client = new VoyageAIClient({ apiKey: 'any', environment: `${server.url}/v1` });
    const ask = (list: readonly string[]) =>
      client.multimodalEmbed(
        {
          model: 'tiny',
          inputs: list.map((imageBase64) => ({ content: [{ type: 'image_base64', imageBase64 }] })),
        },
        { maxRetries: 0 },
      );
    const { data, usage } = await ask(images);
    expect(rounded(data?.map(({ embedding }) => embedding))).toEqual(expected);
    expect(usage?.totalTokens).toBe(27);
    await expect(ask([images[0] ?? '', BROKEN])).rejects.toThrow(/Send a JPEG/);
  });
});
