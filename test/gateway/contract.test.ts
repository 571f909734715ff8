import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDictionary } from 'structured-headers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelResponse } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { PROBLEMS } from '../../src/problem/index.ts';
import { createKey } from '../../src/serving/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

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
      usage: { prompt_tokens: 18, total_tokens: 18 },
    });
    const single = await Promise.all(
      [image, other].map(async (bytes) => (await read<Embedded>(raw(bytes))).embedding),
    );
    expect(body.data.map((item: { embedding: number[] }) => item.embedding)).toEqual(single);
    expect(body.data.map((item: { index: number }) => item.index)).toEqual([0, 1]);
    expect(body.data[0]).toMatchObject({ object: 'embedding', level: 2, flops: 1, fidelity: 1 });
  });

  it('encodes as base64 the same float32 numbers', async () => {
    const floats = await read<List>(json({ input: dataUri(image) }));
    const encoded = await read<List>(json({ input: dataUri(image), encoding_format: 'base64' }));
    const bytes = Buffer.from(String(encoded.data[0]?.embedding), 'base64');
    const numbers = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    expect(numbers).toEqual(floats.data[0]?.embedding.map(Math.fround));
  });

  it('does not let one bad image sink the others', async () => {
    const response = await json({ input: [dataUri(image), 'bm90IGFuIGltYWdl', dataUri(other)] });
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
    ['a text input', () => json({ input: 'a photo of a cat' }), 'malformed-body'],
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

  it('refuses too many pixels from the header, before decoding', async () => {
    const large = await picture('#000000', { width: 1200, height: 1000 });
    expect(await problem(await raw(large))).toMatchObject({
      code: 'too-many-pixels',
      width: 1200,
      maxPixels: 1_000_000,
    });
  });

  it('answers unknown addresses with 404 and wrong methods with 405 and Allow', async () => {
    expect((await problem(await fetch(`${server.url}/v2/embed`))).code).toBe('unknown-route');
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

  it('says live and ready, counts what it did, and lets pages of other origins read its headers', async () => {
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    expect(await read<unknown>(fetch(`${server.url}/readyz`))).toMatchObject({ status: 'ready' });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/concertina_images_total\{[^}]*level="2"[^}]*\} \d+/);
    const response = await raw(image, { Origin: 'https://shop.example', 'X-Request-Id': 'order-66' });
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('Compute-Applied');
    expect(response.headers.get('X-Request-Id')).toBe('order-66');
  });
});

describe('tiers', () => {
  it('lets known keys in, keeps their rate, and refuses the others', async () => {
    const { key, hash } = await createKey();
    const file = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    const tiers = {
      gold: { keys: [hash], rateLimit: { requests: 2, windowSeconds: 3600 }, ceiling: { level: 1 } },
    };
    await writeFile(file, JSON.stringify({ tiers }));
    const closed = await startServer({ store: await tinyStore(), port: 0, workers: 1, config: file });
    try {
      const send = (headers: Record<string, string>) =>
        fetch(`${closed.url}/v1/embed`, {
          method: 'POST',
          body: image,
          headers: { 'Content-Type': 'image/png', ...headers },
        });
      await closed.loaded();
      const missing = await send({});
      expect(missing.headers.get('WWW-Authenticate')).toBe('Bearer');
      expect((await problem(missing)).code).toBe('missing-key');
      expect((await problem(await send({ Authorization: 'Bearer ck_wrong' }))).code).toBe('unknown-key');
      const first = await send({ Authorization: `Bearer ${key}` });
      expect(applied(first)).toMatchObject({ level: 1, 'limited-by': 'tier' });
      expect(first.headers.get('RateLimit-Policy')).toBe('"gold";q=2;w=3600');
      expect(first.headers.get('RateLimit')).toMatch(/^"gold";r=1;t=\d+$/);
      await send({ Authorization: `Bearer ${key}` });
      const limited = await send({ Authorization: `Bearer ${key}` });
      expect(Number(limited.headers.get('Retry-After'))).toBeGreaterThan(1000);
      expect((await problem(limited)).code).toBe('rate-limited');
      expect((await fetch(`${closed.url}/livez`)).status).toBe(200);
    } finally {
      await closed.close();
    }
  });
});
