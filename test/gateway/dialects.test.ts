import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleOf, openApiDocument, ROUTES } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

/** The same picture asked about in every dialect gives the same vector; a dialect's problems have its own form. */
describe('dialects', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  let base64: string;
  let uri: string;
  let expected: number[];
  let width: number;

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    image = await picture();
    base64 = Buffer.from(image).toString('base64');
    uri = dataUri(image);
    const response = await fetch(`${server.url}/v1/embed`, { method: 'POST', body: image });
    expected = ((await response.json()) as { embedding: number[] }).embedding; // our own form, tested by itself
    width = expected.length;
  });
  afterAll(() => server.close());

  const send = async (
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ) => await fetch(`${server.url}${path}`, { method: 'POST', body, headers });
  const json = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await send(path, JSON.stringify(body), {
      'Content-Type': 'application/json',
      ...headers,
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as unknown };
  };

  const TEXT = /This model embeds images, and "a fish" is text/;

  it("Cohere's Embed v2", async () => {
    const { body } = await json('/v2/embed', {
      model: 'tiny',
      input_type: 'image',
      images: [uri, uri],
      embedding_types: ['float', 'int8', 'ubinary'],
    });
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      response_type: 'embeddings_by_type',
      embeddings: { float: [expected, expected], int8: [expect.any(Array), expect.any(Array)] },
      meta: { api_version: { version: '2' }, billed_units: { images: 2 } },
    });
    const { embeddings } = body as { embeddings: Record<string, number[][]> }; // matched above
    expect(embeddings.ubinary?.map((bytes) => bytes.length)).toEqual([2, 2]);
    const inputs = [{ content: [{ type: 'image_url', image_url: { url: uri } }] }];
    expect((await json('/v2/embed', { inputs, output_dimension: 2 })).body).toMatchObject({
      embeddings: { float: [[expect.any(Number), expect.any(Number)]] },
    });
    expect(await json('/v2/embed', { texts: ['a fish'], input_type: 'search_query' })).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(TEXT), id: expect.any(String) },
    });
    expect(await json('/v2/embed', { images: [] })).toMatchObject({ status: 400 });
  });

  it("Voyage's multimodal embeddings", async () => {
    const content = (part: object) => ({ content: [part] });
    const { body } = await json('/v1/multimodalembeddings', {
      model: 'tiny',
      inputs: [
        content({ type: 'image_base64', image_base64: uri }),
        content({ type: 'image_url', image_url: uri }),
      ],
    });
    expect(body).toMatchObject({
      object: 'list',
      model: 'tiny',
      data: [0, 1].map((index) => ({ object: 'embedding', embedding: expected, index })),
      usage: { text_tokens: 0, total_tokens: 18 },
    });
    const { body: coded } = await json('/v1/multimodalembeddings', {
      inputs: [content({ type: 'image_base64', image_base64: uri })],
      output_encoding: 'base64',
    });
    const [first] = (coded as { data: { embedding: string }[] }).data; // matched above
    const bytes = Buffer.from(first?.embedding ?? '', 'base64');
    expect(bytes.readFloatLE(0)).toBe(Math.fround(expected[0] ?? Number.NaN));
    const text = {
      inputs: [
        {
          content: [
            { type: 'text', text: 'a fish' },
            { type: 'image_url', image_url: uri },
          ],
        },
      ],
    };
    expect(await json('/v1/multimodalembeddings', text)).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(TEXT) },
    });
  });

  it("vLLM's messages", async () => {
    const user = (...content: readonly object[]) => ({ messages: [{ role: 'user', content }] });
    const part = { type: 'image_url', image_url: { url: uri } };
    const { body } = await json('/v1/embeddings', { model: 'tiny', ...user(part) });
    expect(body).toMatchObject({ object: 'list', data: [{ embedding: expected }] });
    expect(await json('/v1/embeddings', user(part, { type: 'text', text: 'a fish' }))).toMatchObject({
      status: 400,
      body: { code: 'text-not-supported', error: { message: expect.stringMatching(TEXT) } },
    });
    expect((await json('/v1/embeddings', user(part, part))).body).toMatchObject({ code: 'malformed-body' });
    expect((await json('/v1/embeddings', { input: uri, ...user(part) })).body).toMatchObject({
      code: 'malformed-body',
    });
  });

  it("Jina's items", async () => {
    const { body } = await json('/v1/embeddings', {
      model: 'tiny',
      normalized: true,
      embedding_type: 'float',
      input: [{ image: base64 }, { image: uri }],
    });
    expect(body).toMatchObject({ data: [{ embedding: expected }, { embedding: expected }] });
    expect((await json('/v1/embeddings', { input: [{ text: 'a fish' }] })).body).toMatchObject({
      code: 'text-not-supported',
    });
  });

  it("Weaviate's containers", async () => {
    expect((await json('/vectorize', { texts: [], images: [base64, base64] })).body).toEqual({
      textVectors: [],
      imageVectors: [expected, expected],
    });
    expect((await json('/vectors', { id: '7', image: base64 })).body).toEqual({
      id: '7',
      vector: expected,
      dim: width,
    });
    expect(await json('/vectorize', { texts: ['a fish'], images: [] })).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(TEXT) },
    });
    for (const path of ['/.well-known/live', '/.well-known/ready'])
      expect((await fetch(`${server.url}${path}`)).status).toBe(204);
    expect(await (await fetch(`${server.url}/meta`)).json()).toMatchObject({ model: 'tiny', dim: width });
  });

  it('the Open Inference Protocol, in JSON and in binary', async () => {
    const input = { name: 'image', shape: [2], datatype: 'BYTES', data: [base64, uri] };
    const path = '/v2/models/tiny/infer';
    const { body } = await json(path, { id: '42', inputs: [input] });
    expect(body).toEqual({
      model_name: 'tiny',
      model_version: '1',
      id: '42',
      outputs: [{ name: 'embedding', datatype: 'FP32', shape: [2, width], data: [...expected, ...expected] }],
    });
    // The binary data extension: four bytes of length in front of each element.
    const element = Buffer.concat([Buffer.from(new Uint32Array([image.length]).buffer), image]);
    const head = Buffer.from(
      JSON.stringify({
        inputs: [{ ...input, shape: [1], data: undefined, parameters: { binary_data_size: element.length } }],
        parameters: { binary_data_output: true, compute_budget: 'level=2' },
      }),
    );
    const response = await send(path, new Uint8Array(Buffer.concat([head, element])), {
      'Inference-Header-Content-Length': String(head.length),
      'Content-Type': 'application/octet-stream',
    });
    const length = Number(response.headers.get('Inference-Header-Content-Length'));
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(JSON.parse(bytes.subarray(0, length).toString())).toMatchObject({
      outputs: [{ shape: [1, width], parameters: { binary_data_size: 4 * width } }],
    });
    const floats = Array.from({ length: width }, (_, i) => bytes.readFloatLE(length + 4 * i));
    expect(floats).toEqual(expected.map(Math.fround));
    for (const wrong of [
      { inputs: [{ ...input, shape: [3] }] },
      { inputs: [{ ...input, datatype: 'FP32', data: [1, 2] }] },
      { inputs: [input], outputs: [{ name: 'logits' }] },
      { inputs: [{ ...input, data: ['a fish', uri] }] },
    ])
      expect(await json(path, wrong)).toMatchObject({ status: 400, body: { error: expect.any(String) } });
    expect((await json('/v2/models/huge/infer', { inputs: [input] })).status).toBe(404);
    for (const [probe, answer] of [
      ['/v2/health/live', { live: true }],
      ['/v2/health/ready', { ready: true }],
      ['/v2', { name: 'concertina', extensions: ['binary_tensor_data'] }],
      ['/v2/models/tiny/ready', { ready: true }],
      ['/v2/models/tiny', { outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, width] }] }],
    ] as const)
      expect(await (await fetch(server.url + probe)).json()).toMatchObject(answer);
  });

  it("SageMaker's container contract", async () => {
    expect((await fetch(`${server.url}/ping`)).status).toBe(200);
    const raw = await send('/invocations', image, { 'Content-Type': 'application/x-image' });
    expect(await raw.json()).toMatchObject({ embedding: expected });
    const { body } = await json('/invocations', { input: uri, compute_budget: { level: 0 } });
    expect(body).toMatchObject({ object: 'list', data: [{ level: 0 }] });
  });

  it("Vertex AI's predictions", async () => {
    const path = '/v1/models/tiny:predict';
    const instance = { image: { bytesBase64Encoded: base64 } };
    const { body } = await json(path, { instances: [instance, instance] });
    expect(body).toEqual({
      predictions: [{ imageEmbedding: expected }, { imageEmbedding: expected }],
      deployedModelId: 'tiny',
    });
    expect((await json(path, { instances: [instance], parameters: { dimension: 2 } })).body).toMatchObject({
      predictions: [{ imageEmbedding: [expect.any(Number), expect.any(Number)] }],
    });
    expect(await json(path, { instances: [{ text: 'a fish' }] })).toMatchObject({
      status: 400,
      body: { error: { code: 400, status: 'text-not-supported', message: expect.stringMatching(TEXT) } },
    });
    expect((await json('/v1/models/huge:predict', { instances: [instance] })).status).toBe(404);
  });

  it("llama.cpp's embeddings, as Frigate sends them", async () => {
    const content = [{ prompt_string: '<__media__>\n', multimodal_data: [base64] }];
    expect((await json('/embeddings', { content })).body).toEqual([{ index: 0, embedding: [expected] }]);
    expect(await json('/embeddings', { content: ['a fish'] })).toMatchObject({
      status: 400,
      body: { error: { code: 400, message: expect.stringMatching(TEXT) } },
    });
  });

  it('take a budget by header, and by the body where it has room', async () => {
    const bodies: readonly (readonly [string, object])[] = [
      ['/v1/embeddings', { input: uri }],
      ['/v2/embed', { images: [uri] }],
      ['/v1/multimodalembeddings', { inputs: [{ content: [{ type: 'image_url', image_url: uri }] }] }],
      ['/vectorize', { images: [base64] }],
      ['/vectors', { image: base64 }],
      ['/invocations', { input: uri }],
      ['/v1/models/tiny:predict', { instances: [{ image: { bytesBase64Encoded: base64 } }] }],
      ['/embeddings', { content: [{ multimodal_data: [base64] }] }],
    ];
    for (const [path, body] of bodies) {
      const byHeader = await json(path, body, { 'Compute-Budget': 'level=1' });
      expect([path, byHeader.headers.get('Compute-Applied')?.slice(0, 7)]).toEqual([path, 'level=1']);
      const inBody = await json(path, { ...body, compute_budget: { level: 0 } });
      expect([path, inBody.headers.get('Compute-Applied')?.slice(0, 7)]).toEqual([path, 'level=0']);
      const refused = await json(path, { ...body, compute_budget: { levle: 0 } });
      expect([path, refused.status, JSON.stringify(refused.body).includes('compute_budget.levle')]).toEqual([
        path,
        400,
        true,
      ]);
    }
    // Every address that embeds is one of these, or is tested by itself.
    const others = ['/v1/embed', '/v2/models/tiny/infer'];
    const embedding = ROUTES.filter(({ needs }) => needs === 'budget').map(({ path }) => exampleOf(path));
    expect([...bodies.map(([path]) => path), ...others].sort()).toEqual([...embedding].sort());
  });

  it('refuse a key that is unknown, and a wrong method, in their own form', async () => {
    const broken = await json('/v2/embed', { images: ['data:image/png;base64,bm90IGFuIGltYWdl'] });
    expect(broken).toMatchObject({
      status: 422,
      body: { code: 'undecodable-image', message: expect.stringMatching(/^The image/) },
    });
    expect(broken.headers.get('Content-Type')).toMatch(/^application\/json/);
    const { paths } = openApiDocument('0', ROUTES);
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v2/embed', '/vectorize', '/v2/models/{model}/infer']),
    );
  });
});
