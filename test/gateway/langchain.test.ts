import { OpenAIEmbeddings } from '@langchain/openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const COLOURS = ['#ff0000', '#00ff00', '#0000ff', '#ffff00', '#00ffff'];

describe("LangChain.js, through its class for OpenAI's embeddings", () => {
  let server: RunningServer;
  let images: Uint8Array<ArrayBuffer>[];
  let documents: string[];

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    images = await Promise.all(COLOURS.map((colour) => picture(colour)));
    documents = images.map((bytes) => dataUri(bytes));
  });
  afterAll(() => server.close());

  const embeddings = (
    options: Partial<ConstructorParameters<typeof OpenAIEmbeddings>[0]> = {},
    budget = '',
  ) =>
    new OpenAIEmbeddings({
      model: 'tiny',
      apiKey: 'any',
      maxRetries: 0,
      configuration: {
        baseURL: `${server.url}/v1`,
        ...(budget && { defaultHeaders: { 'Compute-Budget': budget } }),
      },
      ...options,
    });

  /** What the gateway gives for the image itself, as float32. */
  const directly = async (bytes: Uint8Array<ArrayBuffer>, budget: string, query = ''): Promise<number[]> => {
    const response = await fetch(`${server.url}/v1/embed${query}`, {
      method: 'POST',
      body: bytes,
      headers: { 'Content-Type': 'image/png', Accept: 'application/octet-stream', 'Compute-Budget': budget },
    });
    return Array.from(new Float32Array(await response.arrayBuffer()));
  };

  it('embeds a query and, in batches, documents in their order', async () => {
    const model = embeddings({ batchSize: 2 });
    const found = await model.embedDocuments(documents);
    expect(found).toHaveLength(5);
    for (const [i, bytes] of images.entries())
      expect(Array.from(found[i] ?? [])).toEqual(await directly(bytes, 'level=2'));
    expect(Array.from(await model.embedQuery(documents[3] ?? ''))).toEqual(Array.from(found[3] ?? []));
  });

  it('gives principal components under a budget, as numbers and as base64', async () => {
    const [image = new Uint8Array(), document = ''] = [images[0], documents[0]];
    const expected = await directly(image, 'level=0', '?dimensions=2');
    const numbers = await embeddings({ dimensions: 2, encodingFormat: 'float' }, 'level=0').embedQuery(
      document,
    );
    expect(Array.from(numbers).map(Math.fround)).toEqual(expected);
    // Asked for base64 it hands on the text as it came.
    const text = await embeddings({ dimensions: 2, encodingFormat: 'base64' }, 'level=0').embedQuery(
      document,
    );
    const bytes = Buffer.from(String(text), 'base64');
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual(expected);
    expect(bytes).toHaveLength(8);
  });

  it('raises what the gateway refuses', async () => {
    await expect(embeddings().embedQuery('a photo of a cat')).rejects.toMatchObject({
      status: 400,
      code: 'text-not-supported',
    });
    await expect(
      embeddings({}, 'fidelity=0.95, flops=0.1').embedQuery(documents[0] ?? ''),
    ).rejects.toMatchObject({
      status: 422,
      code: 'budget-unsatisfiable',
    });
  });
});
