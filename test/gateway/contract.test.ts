import { parseDictionary } from 'structured-headers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelResponse } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { PROBLEMS } from '../../src/problem/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

interface Embedded {
  readonly embedding: number[];
  readonly level: number;
  readonly model: string;
  readonly error?: { readonly code: string };
}
interface List {
  readonly data: readonly (Embedded & { readonly index: number })[];
}
interface Refusal {
  readonly code: keyof typeof PROBLEMS;
  readonly detail: string;
  readonly nearest: Record<string, number>;
}

/** The body as the type that the test expects; its assertions check it. */
async function read<T>(response: Response | Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

let server: RunningServer;
let image: Uint8Array<ArrayBuffer>;
let other: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  server = await startServer({
    store: await tinyStore(),
    port: 0,
    workers: 1,
    limits: { bodyBytes: 200_000, inputs: 4, pixels: 1_000_000 },
  });
  await server.loaded();
  image = await picture('#3366aa');
  other = await picture('#aa2211');
});
afterAll(() => server.close());

const raw = (
  body: Uint8Array<ArrayBuffer> | URLSearchParams | string | null,
  headers: Record<string, string> = {},
  query = '',
) =>
  fetch(`${server.url}/v1/embed${query}`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'image/png', ...headers },
  });
const json = (body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...headers },
  });

/** `Compute-Applied` as numbers and words. */
function applied(response: Response): Record<string, unknown> {
  const entries = [...parseDictionary(response.headers.get('Compute-Applied') ?? '')];
  return Object.fromEntries(
    entries.map(([key, [value]]) => [key, typeof value === 'number' ? value : String(value)]),
  );
}

async function problem(response: Response) {
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  const body = await read<Refusal>(response);
  // The table of codes decides the status; both the RFC 9457 members and OpenAI's object say the same.
  expect(PROBLEMS).toHaveProperty(body.code);
  expect(response.status).toBe(PROBLEMS[body.code].status);
  expect(body).toMatchObject({ status: response.status, error: { code: body.code, message: body.detail } });
  expect(body.detail.length).toBeGreaterThan(20);
  return body;
}

describe('POST /v1/embed', () => {
  it('answers a raw image with a vector of length 1, and says what was run', async () => {
    const response = await raw(image);
    expect(response.status).toBe(200);
    const { embedding, model, level } = await read<Embedded>(response);
    expect({ model, level }).toEqual({ model: 'tiny', level: 2 });
    expect(embedding).toHaveLength(12);
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
    expect(applied(response)).toMatchObject({ level: 2, flops: 1, fidelity: 1, 'limited-by': 'none' });
    expect(response.headers.get('Server-Timing')).toMatch(
      /^fetch;dur=[\d.]+, decode;dur=[\d.]+, queue;dur=[\d.]+, infer;dur=[\d.]+$/,
    );
    expect(response.headers.get('Vary')).toContain('Compute-Budget');
    expect(response.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each(['png', 'jpeg', 'webp', 'avif', 'gif', 'tiff'] as const)('reads %s', async (format) => {
    const bytes = await picture('#3366aa', { format, width: 64, height: 64 });
    const response = await raw(bytes, { 'Content-Type': `image/${format}` });
    expect(response.status).toBe(200);
    const { embedding } = await read<Embedded>(response);
    // The same picture, give or take what lossy formats lose.
    const lossless = await picture('#3366aa', { format: 'png', width: 64, height: 64 });
    const expected = (await read<Embedded>(raw(lossless))).embedding;
    const cosine = embedding.reduce((sum, value, i) => sum + value * (expected[i] ?? Number.NaN), 0);
    expect(cosine).toBeGreaterThan(0.99);
  });

  it('gives float32 little-endian bytes on request, the same numbers as JSON', async () => {
    const [{ embedding }, bytes] = await Promise.all([
      read<Embedded>(raw(image)),
      raw(image, { Accept: 'application/octet-stream' }).then((response) => response.arrayBuffer()),
    ]);
    expect(Array.from(new Float32Array(bytes))).toEqual(embedding.map(Math.fround));
  });

  it('takes several images as a form, in order', async () => {
    const form = new FormData();
    for (const bytes of [image, other, image]) form.append('image', new Blob([bytes]), 'a.png');
    form.append('compute_budget', JSON.stringify({ level: 1 }));
    const response = await fetch(`${server.url}/v1/embed`, { method: 'POST', body: form });
    const { data } = await read<List>(response);
    expect(data.map((item: { level: number }) => item.level)).toEqual([1, 1, 1]);
    const [first, second, third] = data.map(({ embedding }) => embedding);
    expect(third).toEqual(first);
    expect(second).not.toEqual(first);
  });

  it('gives a form its errors one by one as JSON, and as bytes all or nothing', async () => {
    const send = (names: readonly Uint8Array<ArrayBuffer>[], accept: string) => {
      const form = new FormData();
      for (const bytes of names) form.append('image', new Blob([bytes]), 'a.png');
      return fetch(`${server.url}/v1/embed`, { method: 'POST', body: form, headers: { Accept: accept } });
    };
    const broken = image.slice(0, 40);
    const { data } = await read<List>(send([image, broken, other], 'application/json'));
    expect(data.map(({ error }) => error?.code)).toEqual([undefined, 'undecodable-image', undefined]);
    const bytes = new Float32Array(
      await (await send([image, other], 'application/octet-stream')).arrayBuffer(),
    );
    expect(Array.from(bytes)).toEqual([0, 2].flatMap((i) => data[i]?.embedding.map(Math.fround)));
    const refused = await problem(await send([image, broken], 'application/octet-stream'));
    expect(refused.code).toBe('undecodable-image');
  });

  it('leaves the vector as the network gave it when it is asked not to normalise', async () => {
    const unit = (await read<Embedded>(raw(image))).embedding;
    const { embedding } = await read<Embedded>(raw(image, {}, '?normalize=false'));
    const length = Math.hypot(...embedding);
    expect(length).toBeGreaterThan(1.01);
    for (const [i, value] of unit.entries())
      expect((embedding[i] ?? Number.NaN) / length).toBeCloseTo(value, 6);
  });

  it('gives the first principal components: mean subtracted, then multiplied', async () => {
    const { embedding } = await read<Embedded>(raw(image, {}, '?normalize=false'));
    const { embedding: two } = await read<Embedded>(raw(image, {}, '?normalize=false&dimensions=2'));
    expect(two).toHaveLength(2);
    const [first = Number.NaN, second = Number.NaN] = embedding;
    expect(two[0]).toBeCloseTo(first - 0, 5);
    expect(two[1]).toBeCloseTo(second - 0.1, 5);
  });
});

describe('POST /v1/embeddings', () => {
  it('answers in the shape of OpenAI, in input order', async () => {
    const response = await json({
      model: 'tiny',
      input: [dataUri(image), { image: Buffer.from(other).toString('base64') }],
    });
    const body = await read<List>(response);
    expect(body).toMatchObject({
      object: 'list',
      model: 'tiny',
      usage: { prompt_tokens: 18, total_tokens: 18, gflops: expect.any(Number) },
    });
    const single = await Promise.all(
      [image, other].map(async (bytes) => (await read<Embedded>(raw(bytes))).embedding),
    );
    expect(body.data.map((item: { embedding: number[] }) => item.embedding)).toEqual(single);
    expect(body.data.map((item: { index: number }) => item.index)).toEqual([0, 1]);
    expect(body.data[0]).toMatchObject({ object: 'embedding', level: 2, flops: 1, fidelity: 1 });
  });

  it('takes an image as a data URI, as bare base64, and either under "image"', async () => {
    const base64 = Buffer.from(image).toString('base64');
    const forms = [dataUri(image), base64, { image: base64 }, { image: dataUri(image) }];
    const { data } = await read<List>(json({ input: forms }));
    for (const { embedding } of data) expect(embedding).toEqual(data[0]?.embedding);
    const [single] = (await read<List>(json({ input: base64 }))).data;
    expect(single?.embedding).toEqual(data[0]?.embedding);
  });

  it('encodes as base64 the same float32 numbers', async () => {
    const floats = await read<List>(json({ input: dataUri(image) }));
    const encoded = await read<List>(json({ input: dataUri(image), encoding_format: 'base64' }));
    const bytes = Buffer.from(String(encoded.data[0]?.embedding), 'base64');
    const numbers = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    expect(numbers).toEqual(floats.data[0]?.embedding.map(Math.fround));
  });

  it('does not let one bad image sink the others where that is the policy', async () => {
    const broken = 'data:image/png;base64,bm90IGFuIGltYWdl';
    const input = [dataUri(image), broken, dataUri(other)];
    const response = await json({ input, error_policy: 'per_item' });
    expect(response.status).toBe(200);
    const { data } = await read<List>(response);
    expect(data.map((item: { error?: { code: string } }) => item.error?.code)).toEqual([
      undefined,
      'undecodable-image',
      undefined,
    ]);
    expect(data[1]?.embedding).toEqual([]);
    expect(data[2]?.embedding).toHaveLength(12);
  });
});

describe('the budget', () => {
  it('runs the largest level within a share of the FLOPs, and says what limited it', async () => {
    const { ladder } = await read<ModelResponse>(fetch(`${server.url}/v1/models/tiny`));
    for (const [index, { flops }] of ladder.entries()) {
      const response = await raw(image, {
        'Compute-Budget': `flops=${Math.min(1, flops + 0.001).toFixed(3)}`,
      });
      const reason = index === ladder.length - 1 ? 'none' : 'flops';
      expect(applied(response)).toMatchObject({ level: index, 'limited-by': reason });
    }
  });

  it('takes the tightest of header and body', async () => {
    const budget = { compute_budget: { level: 1 } };
    const response = await json({ input: dataUri(image), ...budget }, { 'Compute-Budget': 'flops=1' });
    expect(applied(response)).toMatchObject({ level: 1, 'limited-by': 'level' });
  });

  it('names the nearest feasible budget when FLOPs and fidelity contradict each other', async () => {
    const { ladder } = await read<ModelResponse>(fetch(`${server.url}/v1/models/tiny`));
    const refused = await raw(image, {
      'Compute-Budget': `flops=${ladder[0]?.flops.toFixed(3)}, fidelity=0.95`,
    });
    const body = await problem(refused);
    expect(body).toMatchObject({ code: 'budget-unsatisfiable', nearest: { flops: 1, fidelity: 0.6 } });
    const accepted = await raw(image, { 'Compute-Budget': `flops=${body.nearest.flops}, fidelity=0.95` });
    expect(accepted.status).toBe(200);
  });

  it('names the position of a malformed term', async () => {
    const body = await problem(await raw(image, { 'Compute-Budget': 'flops=0.5, latency=soon' }));
    expect(body).toMatchObject({ code: 'malformed-budget', position: 11 });
    const inBody = await problem(await json({ input: dataUri(image), compute_budget: { flops: 2 } }));
    expect(inBody).toMatchObject({ code: 'malformed-budget', path: 'compute_budget.flops' });
  });

  it('in the body means the same as in the header', async () => {
    const send = (budget: object) => json({ input: dataUri(image), compute_budget: budget });
    expect(applied(await send({ flops: 0.9, level: null }))).toMatchObject({ 'limited-by': 'flops' });
    expect(await problem(await send({ flops: 0.9, colour: 'red' }))).toMatchObject({
      code: 'malformed-budget',
      path: 'compute_budget.colour',
    });
    const strict = { value: 0.001, strict: true };
    expect((await problem(await send({ latency: strict }))).code).toBe('budget-unsatisfiable');
    expect((await problem(await send({ fidelity: 0.95, level: 0 }))).code).toBe('budget-unsatisfiable');
  });

  it('falls to the fastest level for an impossible latency target, and refuses it when it is strict', async () => {
    const target = await raw(image, { 'Compute-Budget': 'latency=0.001' });
    expect(target.status).toBe(200);
    // On a tiny network the best level may happen to be the fastest: then nothing was lost.
    const { ladder } = await read<ModelResponse>(fetch(`${server.url}/v1/models/tiny`));
    const best = Number(applied(target).level) === ladder.length - 1;
    expect(applied(target)['limited-by']).toBe(best ? 'none' : 'latency');
    const strict = await problem(await raw(image, { 'Compute-Budget': 'latency=0.001;strict' }));
    expect(strict.code).toBe('budget-unsatisfiable');
    expect(strict.nearest.latency).toBeGreaterThan(0);
  });
});

describe('bad input', () => {
  it.each([
    ['an empty body', () => raw(null), 'malformed-body'],
    ['text instead of an image', () => raw('hello'), 'undecodable-image'],
    ['a truncated image', () => raw(image.slice(0, 60)), 'undecodable-image'],
    [
      'a media type that is no image',
      () => raw('{}', { 'Content-Type': 'text/csv' }),
      'unsupported-media-type',
    ],
    ['a body above the limit', () => raw(new Uint8Array(200_001)), 'body-too-large'],
    ['an answer in a type that is not given', () => raw(image, { Accept: 'text/html' }), 'not-acceptable'],
    ['dimensions that the checkpoint lacks', () => raw(image, {}, '?dimensions=3'), 'unsupported-dimensions'],
    ['a model that is not there', () => raw(image, {}, '?model=huge'), 'unknown-model'],
    ['a body that is not JSON', () => json('{"input": '), 'malformed-body'],
    ['a body without input', () => json({ model: 'tiny' }), 'malformed-body'],
    ['a text input', () => json({ input: 'a photo of a cat' }), 'text-not-supported'],
    ['a URL where fetching is off', () => json({ input: 'https://example.com/a.png' }), 'url-not-allowed'],
    ['too many inputs', () => json({ input: Array(5).fill(dataUri(image)) }), 'too-many-inputs'],
    [
      'a form without files',
      () => raw(new URLSearchParams('a=b'), { 'Content-Type': 'multipart/form-data; boundary=x' }),
      'malformed-body',
    ],
  ])('answers %s with its own problem', async (_, send, code) => {
    expect((await problem(await send())).code).toBe(code);
  });

  it('names the limit that was exceeded', async () => {
    expect(await problem(await raw(new Uint8Array(200_001)))).toMatchObject({ limit: 200_000 });
    const inputs = Array(5).fill(dataUri(image));
    expect(await problem(await json({ input: inputs }))).toMatchObject({ limit: 4 });
  });

  it('refuses too many pixels from the header, before decoding', async () => {
    const large = await picture('#000000', { width: 1200, height: 1000 });
    expect(await problem(await raw(large))).toMatchObject({
      code: 'too-many-pixels',
      width: 1200,
      maxPixels: 1_000_000,
    });
  });

  it('answers unknown addresses with 404 and wrong methods with 405 and Allow', async () => {
    expect((await problem(await fetch(`${server.url}/v3/embed`))).code).toBe('unknown-route');
    const response = await fetch(`${server.url}/v1/embed`);
    expect(response.headers.get('Allow')).toBe('POST');
    expect((await problem(response)).code).toBe('method-not-allowed');
  });
});

describe('the rest of the contract', () => {
  it('describes the ladder with the time that each level takes here', async () => {
    const list = await read<{ data: readonly ModelResponse[] }>(fetch(`${server.url}/v1/models`));
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual(['tiny']);
    const ladder = list.data[0]?.ladder ?? [];
    expect(ladder.map(({ fidelity }: { fidelity: number }) => fidelity)).toEqual([0.6, 0.9, 1]);
    for (const { predicted_ms, loaded } of ladder) {
      expect(loaded).toBe(true);
      expect(predicted_ms).toBeGreaterThan(0);
    }
  });

  it('says what levels keep of every block: heads, or the dimensions of all heads where those are units', async () => {
    const ladderOf = async (url: string) => {
      const { ladder } = await read<ModelResponse>(fetch(`${url}/v1/models/tiny`));
      return ladder.map(({ heads, queries, values, channels }) => ({ heads, queries, values, channels }));
    };
    const every = (count: number) => [count, count, count];
    expect(await ladderOf(server.url)).toEqual([
      { heads: every(1), channels: every(3) },
      { heads: every(2), channels: every(5) },
      { heads: every(3), channels: every(7) },
    ]);
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const cut = await startServer({ store: await tinyStore({ config }), port: 0, workers: 1 });
    expect(await ladderOf(cut.url)).toEqual([
      { heads: every(3), queries: every(2), values: every(2), channels: every(3) },
      { heads: every(3), queries: every(3), values: every(3), channels: every(5) },
      { heads: every(3), queries: every(4), values: every(4), channels: every(7) },
    ]);
    await cut.close();
  });

  it('says live and ready, counts what it did, and lets pages of other origins read its headers', async () => {
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    expect(await read<unknown>(fetch(`${server.url}/readyz`))).toMatchObject({ status: 'ready' });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/concertina_images_total\{[^}]*level="2"[^}]*\} \d+/);
    const response = await raw(image, { Origin: 'https://shop.example', 'X-Request-Id': 'order-66' });
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
    const exposed = response.headers.get('Access-Control-Expose-Headers')?.split(/,\s*/);
    for (const name of [
      'Compute-Applied',
      'Server-Timing',
      'X-Request-Id',
      'Vary',
      'RateLimit',
      'RateLimit-Policy',
    ])
      expect(exposed).toContain(name);
    expect(response.headers.get('X-Request-Id')).toBe('order-66');
  });

  it('tells problems apart by the budget and by their request too', async () => {
    for (const response of [
      await raw('hello', { 'X-Request-Id': 'order-67' }),
      await json('{', { 'X-Request-Id': 'order-67' }),
    ]) {
      expect(response.status).toBeGreaterThan(399);
      expect(response.headers.get('Vary')).toContain('Compute-Budget');
      expect(response.headers.get('X-Request-Id')).toBe('order-67');
      expect(await read<unknown>(response)).toMatchObject({ instance: 'order-67' });
    }
  });

  it('has a playground at / and a reference at /docs that names every problem', async () => {
    const page = await fetch(`${server.url}/`);
    expect(page.headers.get('Content-Type')).toMatch(/^text\/html/);
    expect(page.headers.get('Content-Security-Policy')).toContain("default-src 'none'");
    expect(await page.text()).toContain('<script type="module" src=');
    const reference = await (await fetch(`${server.url}/docs`)).text();
    for (const code of Object.keys(PROBLEMS)) expect(reference).toContain(`<code>${code}</code>`);
  });
});
