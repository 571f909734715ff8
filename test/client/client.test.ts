import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConcertinaClient, ConcertinaError } from '../../src/client/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

describe('the typed client', () => {
  let server: RunningServer;
  let client: ConcertinaClient;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    client = new ConcertinaClient({ baseUrl: `${server.url}/`, retries: 0 });
    image = await picture();
  });
  afterAll(() => server.close());

  it('embeds bytes, blobs and data URIs to the same numbers, and says what was run', async () => {
    const bytes = await client.embed(image);
    const blob = await client.embed(new Blob([image]));
    const text = await client.embed(dataUri(image));
    expect(bytes).toMatchObject({ level: 2, flops: 1, fidelity: 1, precision: 'fp32', limitedBy: 'none' });
    expect(bytes.embedding).toHaveLength(12);
    expect(Math.hypot(...bytes.embedding)).toBeCloseTo(1, 5);
    expect([blob.embedding, text.embedding]).toEqual([bytes.embedding, bytes.embedding]);
    expect(Object.keys(bytes.timing)).toEqual(['fetch', 'decode', 'queue', 'infer']);
    expect(bytes.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('passes every term of a budget on', async () => {
    expect(await client.embed(image, { level: 1 })).toMatchObject({ level: 1, limitedBy: 'level' });
    expect(await client.embed(image, { flops: 0.62222, dimensions: 2 })).toMatchObject({
      limitedBy: 'flops',
    });
    // Of fidelity 0.6, 0.9 and 1: a floor alone is kept by the cheapest.
    expect(await client.embed(image, { fidelity: 0.9005 })).toMatchObject({ level: 2, limitedBy: 'none' });
    let sent = '';
    const listening = new ConcertinaClient({
      baseUrl: server.url,
      fetch: async (url, init) => {
        sent = new Headers(init?.headers).get('Compute-Budget') ?? '';
        return await fetch(url, init);
      },
    });
    await listening
      .embed(image, { latency: 5000, flops: 1, fidelity: 0.69999, gflops: 1.5e-7, aim: 'cheapest' })
      .catch(() => {});
    expect(sent).toBe('flops=1, gflops=0.00000015, fidelity=0.69999, latency=5000, aim=cheapest');
    await expect(client.embed(image, { latency: 0.001, strict: true })).rejects.toMatchObject({
      code: 'budget-unsatisfiable',
      status: 422,
      details: { nearest: { latency: expect.any(Number) } },
    });
  });

  it('embeds many; one that fails does not sink the others', async () => {
    const [first, second, third] = await client.embedMany(
      [dataUri(image), dataUri(image.slice(0, 40)), dataUri(image)],
      { level: 0 },
    );
    const bytes = await client.embedMany([image, new Blob([image]), image.slice().buffer], { level: 0 });
    expect(bytes).toEqual([first, first, first]);
    expect(first).toMatchObject({ level: 0, fidelity: 0.6 });
    expect(second).toMatchObject({ error: { code: 'undecodable-image' } });
    expect(third).toEqual(first);
  });

  it.each([
    ['a page', '<html>Welcome</html>', 'text/html'],
    ['other JSON', '{"hello": "world"}', 'application/json'],
    ['a list of something else', '{"data": [{"name": 1}]}', 'application/json'],
    ['nothing', '', 'application/octet-stream'],
    ['half a number', 'abcdefg', 'application/octet-stream'],
  ])('takes %s for no answer, whatever it asked for', async (_, body, type) => {
    const stranger = new ConcertinaClient({
      baseUrl: 'http://stranger.test',
      fetch: async () => new Response(body, { headers: { 'Content-Type': type } }),
    });
    for (const ask of [
      () => stranger.embed(image),
      () => stranger.embed(dataUri(image)),
      () => stranger.embedMany([image]),
      () => stranger.models(),
      () => stranger.model('tiny'),
    ])
      await expect(ask()).rejects.toMatchObject({ name: 'ConcertinaError', code: 'unknown', status: 200 });
  });

  it('gives up a server that does not answer, and says which cannot be reached', async () => {
    const silent: typeof fetch = (_, init) =>
      new Promise((__, fail) => init?.signal?.addEventListener('abort', () => fail(init.signal?.reason)));
    const settings = { baseUrl: 'http://silent.test', fetch: silent, retries: 0 };
    await expect(new ConcertinaClient({ ...settings, timeoutMs: 20 }).embed(image)).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/within 20 ms/),
    });
    const nobody = new ConcertinaClient({ baseUrl: 'http://127.0.0.1:1', retries: 0 });
    await expect(nobody.models()).rejects.toMatchObject({ name: 'ConcertinaError', code: 'unreachable' });
    const caller = new AbortController();
    const left = new ConcertinaClient(settings).embed(image, { signal: caller.signal });
    caller.abort(new Error('mine'));
    await expect(left).rejects.toThrow('mine');
  });

  it('lists models', async () => {
    expect((await client.models()).map(({ id }) => id)).toEqual(['tiny']);
    expect((await client.model('tiny')).ladder).toHaveLength(3);
    await expect(client.model('huge')).rejects.toBeInstanceOf(ConcertinaError);
  });

  it('says how many dimensions of every head a level keeps, where those are units', async () => {
    expect((await client.model('tiny')).ladder[0]).not.toHaveProperty('queries');
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const cut = await startServer({ store: await tinyStore({ config }), port: 0, workers: 1 });
    const { ladder } = await new ConcertinaClient({ baseUrl: cut.url }).model('tiny');
    await cut.close();
    expect(ladder.map(({ queries, values }) => [queries?.[0], values?.[0]])).toEqual([
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
  });

  it('tries again after Retry-After, gives up in the end, and stops waiting when it is aborted', async () => {
    let seen = 0;
    const busy = async () => {
      seen++;
      return new Response('{"code":"tier-saturated","detail":"full"}', {
        status: 429,
        headers: { 'Retry-After': '0.02' },
      });
    };
    const retrying = new ConcertinaClient({ baseUrl: server.url, fetch: busy, retries: 2 });
    await expect(retrying.embed(image)).rejects.toMatchObject({ code: 'tier-saturated', status: 429 });
    expect(seen).toBe(3);
    const later = new Date(Date.now() - 5000).toUTCString();
    const gone = async () =>
      new Response(null, { status: seen++ > 3 ? 404 : 503, headers: { 'Retry-After': later } });
    await expect(new ConcertinaClient({ baseUrl: server.url, fetch: gone }).models()).rejects.toMatchObject({
      code: 'unknown',
      status: 404,
    });
    expect(seen).toBe(5);
    const slow = async () => new Response(null, { status: 503, headers: { 'Retry-After': '60' } });
    const waiting = new ConcertinaClient({ baseUrl: server.url, fetch: slow, retries: 1 });
    const began = performance.now();
    await expect(waiting.embed(image, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
