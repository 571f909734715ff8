import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

interface Answer {
  readonly status?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly index?: number;
  readonly limit?: number;
  readonly embedding?: readonly number[];
  readonly data?: readonly {
    readonly embedding: readonly number[] | string;
    readonly error?: { readonly code: string };
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly total_tokens: number; readonly gflops: number };
}

/** An ISO base media file that says it is a HEIC picture, as iPhones write them: a box `ftyp` of 24 bytes. */
const HEIC = new TextEncoder().encode('\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0meta');
const BROKEN = 'data:image/png;base64,bm90IGFuIGltYWdl';

describe("OpenAI's contract, to the letter", () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  let uri: string;

  beforeAll(async () => {
    server = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      limits: { bodyBytes: 400_000 },
    });
    await server.loaded();
    image = await picture();
    uri = dataUri(image);
  });
  afterAll(() => server.close());

  async function post(
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ) {
    const response = await fetch(`${server.url}${path}`, { method: 'POST', body, headers });
    return { response, body: (await response.json()) as Answer }; // assertions check it
  }
  const embeddings = async (body: unknown, headers: Record<string, string> = {}) =>
    await post('/v1/embeddings', JSON.stringify(body), { 'Content-Type': 'application/json', ...headers });
  const raw = async (
    body: string | Uint8Array<ArrayBuffer>,
    type: string | undefined,
    headers: Record<string, string> = {},
  ) => await post('/v1/embed', body, { ...(type !== undefined && { 'Content-Type': type }), ...headers });

  it('fails the request for one bad item, and says which', async () => {
    const { response, body } = await embeddings({ input: [uri, BROKEN, uri] });
    expect(response.status).toBe(422);
    expect(body).toMatchObject({ code: 'undecodable-image', index: 1 });
    expect(body.detail).toContain('Image 1 (counted from 0)');
    // One image alone needs no number.
    expect((await embeddings({ input: BROKEN })).body).not.toHaveProperty('index');
  });

  it('gives every item its own result where that is asked for', async () => {
    const { response, body } = await embeddings({
      input: [uri, BROKEN, 'a fish', uri],
      error_policy: 'per_item',
    });
    expect(response.status).toBe(200);
    expect(body.data?.map(({ error }) => error?.code)).toEqual([
      undefined,
      'undecodable-image',
      'text-not-supported',
      undefined,
    ]);
    const other = await embeddings({ input: uri, error_policy: 'ignore' });
    expect(other.body).toMatchObject({ code: 'malformed-body' });
  });

  it('takes null for absent', async () => {
    const nulls = {
      ...{ dimensions: null, encoding_format: null, model: null, user: null, normalize: null },
      ...{ compute_budget: null, error_policy: null, output_dtype: null },
    };
    const { response, body } = await embeddings({ input: uri, ...nulls });
    expect(response.status).toBe(200);
    expect(body.data).toEqual((await embeddings({ input: uri })).body.data);
  });

  it('takes 300 and up to 2048 pictures: bytes bound a request', async () => {
    const { response, body } = await embeddings({ input: Array(300).fill(uri) });
    expect([response.status, body.data?.length]).toEqual([200, 300]);
    const many = await embeddings({ input: Array(2049).fill('data:,') });
    expect(many.response.status).toBe(413);
    expect(many.body).toMatchObject({ code: 'too-many-inputs', limit: 2048 });
  });

  it.each([
    ['a word that could be base64', 'fish'],
    ['a sentence', 'a photo of a fish'],
    ['base64 of something else', 'bm90IGFuIGltYWdl'],
    ['an item that says so', { text: 'fish' }],
    ['a part of a message', { type: 'text', text: 'fish' }],
    ['tokens', [[1, 2]]],
    ['tokens of one text', [1, 2]],
    ['an empty string', ''],
  ])('has one answer for text: %s', async (_, input) => {
    const { response, body } = await embeddings({ input });
    expect([response.status, body.code]).toEqual([400, 'text-not-supported']);
    expect(body.detail).toContain('This model embeds images');
  });

  it('takes pictures in the forms of other services, and says what is none', async () => {
    const base64 = Buffer.from(image).toString('base64');
    const forms = [
      ...[uri, base64, base64.replaceAll('+', '-').replaceAll('/', '_'), { image: base64 }],
      ...[
        { type: 'image_url', image_url: { url: uri } },
        { type: 'image_url', image_url: uri },
      ],
      base64.replace(/.{76}/g, '$&\r\n'),
    ];
    // Pinned: so many pictures at a time are pressure.
    const { body } = await embeddings({ input: forms, compute_budget: { level: 2 } });
    for (const { embedding } of body.data ?? []) expect(embedding).toEqual(body.data?.[0]?.embedding);
    expect(body.data).toHaveLength(forms.length);
    for (const input of [{}, [{}], [], 7.5, null, [null], { image: 7 }])
      expect([input, (await embeddings({ input })).body.code]).toEqual([input, 'malformed-body']);
  });

  it.each([
    ...[
      'image/jpg',
      'application/x-www-form-urlencoded',
      'binary/octet-stream',
      'image/x-whatever',
      'text/plain',
    ],
    undefined,
  ])('looks at the bytes of a picture, not at its type: %s', async (type) => {
    const { response, body } = await raw(image, type);
    expect([type, response.status, body.code]).toEqual([type, 200, undefined]);
  });

  it('looks at the bytes of a data URI, too', async () => {
    const base64 = Buffer.from(image).toString('base64');
    for (const head of ['data:;base64,', 'data:image/jpg;base64,', 'data:application/octet-stream;base64,'])
      expect([head, (await embeddings({ input: head + base64 })).response.status]).toEqual([head, 200]);
  });

  it('refuses what is no picture and says so by its type', async () => {
    for (const type of ['application/json', 'text/csv', 'application/ld+json']) {
      const { response, body } = await raw('{"a": 1}', type);
      expect([type, response.status, body.code]).toEqual([type, 415, 'unsupported-media-type']);
    }
    expect((await raw('hello', 'image/png')).body.code).toBe('undecodable-image');
  });

  it('says plainly that it does not decode HEIC', async () => {
    for (const { response, body } of [
      await raw(HEIC, 'image/heic'),
      await embeddings({ input: dataUri(HEIC, 'image/jpeg') }),
    ]) {
      expect([response.status, body.code]).toEqual([415, 'unsupported-media-type']);
      expect(body.detail).toMatch(/^HEIC pictures .* are not decoded here\. Send image\/jpeg/);
    }
  });

  it('decodes gzip and deflate within the limit, and says what it takes otherwise', async () => {
    const json = JSON.stringify({ input: uri });
    const plain = (await embeddings({ input: uri })).body.data;
    for (const [coding, bytes] of [
      ['gzip', gzipSync(json)],
      ['deflate', deflateSync(json)],
      ['GZIP', gzipSync(json)],
    ] as const) {
      const { body } = await post('/v1/embeddings', new Uint8Array(bytes), {
        'Content-Type': 'application/json',
        'Content-Encoding': coding,
      });
      expect([coding, body.data]).toEqual([coding, plain]);
    }
    expect(
      (await raw(new Uint8Array(gzipSync(image)), 'image/png', { 'Content-Encoding': 'gzip' })).response
        .status,
    ).toBe(200);
    const bomb = await raw(new Uint8Array(gzipSync(new Uint8Array(2 ** 22))), 'image/png', {
      'Content-Encoding': 'gzip',
    });
    expect(bomb.body).toMatchObject({ status: 413, code: 'body-too-large', limit: 400_000 });
    const other = await raw(image, 'image/png', { 'Content-Encoding': 'br' });
    expect(other.body).toMatchObject({ status: 415, code: 'unsupported-media-type' });
    expect(other.response.headers.get('Accept-Encoding')).toBe('gzip, deflate');
    const false_ = await raw(image, 'image/png', { 'Content-Encoding': 'gzip' });
    expect(false_.body).toMatchObject({ status: 400, code: 'malformed-body' });
  });

  it('counts in usage what was done: no broken pictures, and less at a smaller level', async () => {
    const usage = async (input: unknown, budget: string) =>
      (await embeddings({ input, error_policy: 'per_item' }, { 'Compute-Budget': budget })).body.usage;
    const { ladder } = (await (await fetch(`${server.url}/v1/models/tiny`)).json()) as {
      ladder: readonly { readonly gflops: number }[]; // the contract's
    };
    const full = await usage([uri, BROKEN, uri], 'level=2');
    expect(full).toMatchObject({ prompt_tokens: 18, total_tokens: 18 });
    expect(full?.gflops).toBeCloseTo(2 * (ladder[2]?.gflops ?? 0), 10);
    expect((await usage([uri], 'level=0'))?.gflops).toBeCloseTo(ladder[0]?.gflops ?? 0, 10);
  });

  it('tells clients not to try again after a deadline', async () => {
    const { response, body } = await embeddings({ input: uri }, { 'Compute-Budget': 'deadline=0.001' });
    expect([response.status, body.code]).toEqual([504, 'deadline-exceeded']);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect((await embeddings({ input: BROKEN })).response.headers.has('x-should-retry')).toBe(false);
  });

  it('gives the types of Cohere, Voyage and Jina, and refuses others and several', async () => {
    const vectorOf = async (more: object) =>
      (await embeddings({ input: uri, ...more })).body.data?.[0]?.embedding;
    const floats = (await vectorOf({ encoding_format: 'float' })) as number[]; // as asked
    const largest = Math.max(...floats.map(Math.abs));
    // NumPy's packbits, written out: the first number is the highest bit, and 12 numbers take two bytes.
    const bits = floats.map((value) => (value > 0 ? 1 : 0)).concat(0, 0, 0, 0);
    const packed = [0, 8].map((from) => Number.parseInt(bits.slice(from, from + 8).join(''), 2));
    const int8 = floats.map((value) => Math.round((127 * value) / largest));
    expect(await vectorOf({ output_dtype: 'int8' })).toEqual(int8.map((value) => value + 0));
    expect(await vectorOf({ output_dtype: 'uint8' })).toEqual(int8.map((value) => value + 128));
    expect(await vectorOf({ embedding_type: 'ubinary' })).toEqual(packed);
    expect(await vectorOf({ embedding_types: ['binary'] })).toEqual(packed.map((value) => value - 128));
    const base64 = await vectorOf({ output_dtype: 'ubinary', encoding_format: 'base64' });
    expect([...Buffer.from(String(base64), 'base64')]).toEqual(packed);
    expect(await vectorOf({ embedding_type: 'base64' })).toBe(await vectorOf({ encoding_format: 'base64' }));
    for (const more of [
      { output_dtype: 'int4' },
      { embedding_type: 'sparse' },
      { embedding_types: ['int8', 'float'] },
      { output_dtype: 'int8', embedding_type: 'binary' },
    ])
      expect([more, (await embeddings({ input: uri, ...more })).body.code]).toEqual([more, 'malformed-body']);
  });
});
