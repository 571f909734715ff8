import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { createKey } from '../../src/serving/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

describe("OpenAI's own client", () => {
  let server: RunningServer;
  let client: OpenAI;
  let images: string[];

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });
    images = await Promise.all(
      ['#ff0000', '#00ff00', '#0000ff'].map(async (colour) => dataUri(await picture(colour))),
    );
  });
  afterAll(() => server.close());

  it('embeds one image; its default encoding (base64) gives the same numbers as floats', async () => {
    const [input = ''] = images;
    const byDefault = await client.embeddings.create({ model: 'tiny', input });
    const asFloats = await client.embeddings.create({ model: 'tiny', input, encoding_format: 'float' });
    expect(byDefault.data[0]?.embedding).toHaveLength(12);
    expect(Array.from(byDefault.data[0]?.embedding ?? [])).toEqual(
      asFloats.data[0]?.embedding.map(Math.fround),
    );
    expect(byDefault.usage.total_tokens).toBe(9);
  });

  it('embeds a batch in order, with dimensions and a budget header', async () => {
    const { data } = await client.embeddings.create({ model: 'tiny', input: images, dimensions: 2 });
    expect(data.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(data.map(({ embedding }) => embedding.length)).toEqual([2, 2, 2]);
    const { response } = await client.embeddings
      .create({ model: 'tiny', input: images }, { headers: { 'Compute-Budget': 'level=0' } })
      .withResponse();
    expect(response.headers.get('Compute-Applied')).toContain('level=0');
  });

  it('raises its own error classes, with our code', async () => {
    await expect(client.embeddings.create({ model: 'tiny', input: 'a cat' })).rejects.toSatisfy(
      (error) => error instanceof OpenAI.BadRequestError && error.code === 'text-not-supported',
    );
    await expect(client.embeddings.create({ model: 'huge', input: images })).rejects.toSatisfy(
      (error) => error instanceof OpenAI.NotFoundError && error.code === 'unknown-model',
    );
    await expect(
      client.embeddings.create({ model: 'tiny', input: 'data:image/png;base64,bm90IGFuIGltYWdl' }),
    ).rejects.toSatisfy(
      (error) => error instanceof OpenAI.UnprocessableEntityError && error.code === 'undecodable-image',
    );
  });

  it('raises its own classes for keys and rates, and waits as long as a real refusal says', async () => {
    const { key, hash } = await createKey();
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    const tiers = { gold: { keys: [hash], rateLimit: { requests: 1, windowSeconds: 2 } } };
    await writeFile(config, JSON.stringify({ tiers }));
    const closed = await startServer({ store: await tinyStore(), port: 0, workers: 1, config });
    const input = images[0] ?? '';
    const embed = (headers: Record<string, string | null>, maxRetries = 0) =>
      new OpenAI({
        baseURL: `${closed.url}/v1`,
        apiKey: key,
        maxRetries,
        defaultHeaders: headers,
      }).embeddings.create({
        model: 'tiny',
        input,
      });
    try {
      await closed.loaded();
      await expect(embed({ Authorization: null })).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
      await expect(embed({ Authorization: 'Bearer ck_0' })).rejects.toBeInstanceOf(
        OpenAI.PermissionDeniedError,
      );
      expect((await embed({})).data).toHaveLength(1);
      await expect(embed({})).rejects.toSatisfy(
        (error) => error instanceof OpenAI.RateLimitError && error.code === 'rate-limited',
      );
      const began = performance.now();
      expect((await embed({}, 1)).data).toHaveLength(1);
      // One request in two seconds: the bucket needs most of a second or two to fill again.
      expect(performance.now() - began).toBeGreaterThan(900);
    } finally {
      await closed.close();
    }
  });

  it('raises its class for servers when a deadline cannot be kept', async () => {
    const late = { headers: { 'Compute-Budget': 'deadline=0.001' } };
    await expect(client.embeddings.create({ model: 'tiny', input: images }, late)).rejects.toSatisfy(
      (error) => error instanceof OpenAI.InternalServerError && error.code === 'deadline-exceeded',
    );
  });

  it('lists the models', async () => {
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(['tiny']);
    expect((await client.models.retrieve('tiny')).owned_by).toBe('concertina');
  });

  it('tries again after the time that a refusal names', async () => {
    // A proxy that answers the first request as a saturated gateway does, and passes the others on.
    let seen = 0;
    const proxy = createServer(async (request, response) => {
      seen++;
      const chunks: Uint8Array[] = [];
      for await (const chunk of request) chunks.push(chunk);
      if (seen === 1) {
        response.writeHead(429, { 'Content-Type': 'application/problem+json', 'Retry-After': '1' });
        response.end(
          JSON.stringify({ code: 'tier-saturated', error: { message: 'full', code: 'tier-saturated' } }),
        );
        return;
      }
      const passed = await fetch(`${server.url}${request.url}`, {
        method: 'POST',
        body: Buffer.concat(chunks),
        headers: { 'Content-Type': 'application/json' },
      });
      response.writeHead(passed.status, { 'Content-Type': 'application/json' });
      response.end(Buffer.from(await passed.arrayBuffer()));
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    const address = proxy.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    try {
      const retrying = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'any', maxRetries: 1 });
      const began = performance.now();
      const { data } = await retrying.embeddings.create({ model: 'tiny', input: images });
      expect(data).toHaveLength(3);
      expect(seen).toBe(2);
      expect(performance.now() - began).toBeGreaterThan(990);
    } finally {
      proxy.close();
    }
  });
});
