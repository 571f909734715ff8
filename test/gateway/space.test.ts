import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { componentSpace, embeddingSpace, type Manifest, openCheckpoint } from '../../src/checkpoint/index.ts';
import { ConcertinaClient } from '../../src/client/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny, tinyStore } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

describe('the space that embeddings lie in', () => {
  let manifest: Manifest;

  beforeAll(async () => {
    ({ manifest } = await openCheckpoint(await tinyStore(), 'tiny'));
  });

  it('is the same however the network was pruned, and another for whatever changes its vectors', async () => {
    const space = await embeddingSpace(manifest);
    expect(space).toMatch(/^[0-9a-f]{8}$/);
    const { config, provenance } = manifest;
    const again = {
      ...provenance,
      recipe: { name: 'other' },
      seed: 7,
      images: { digest: '1', used: 9, skipped: 0 },
    };
    const merging = { rows: 0.5, sizes: 1, attention: 0 };
    expect(
      await embeddingSpace({ config: { ...config, merging, architecture: 'x' }, provenance: again }),
    ).toBe(space);
    const { preprocessing } = config;
    const others = await Promise.all([
      embeddingSpace({
        config,
        provenance: { ...provenance, source: { weights: 'f'.repeat(64), config: '' } },
      }),
      embeddingSpace({ config: { ...config, pool: 'mean' }, provenance }),
      embeddingSpace({
        config: { ...config, preprocessing: { ...preprocessing, cropPct: 0.5 } },
        provenance,
      }),
      embeddingSpace({
        config: { ...config, preprocessing: { ...preprocessing, std: [1, 1, 2] } },
        provenance,
      }),
      embeddingSpace({ config: { ...config, embeddingWidth: 7 }, provenance }),
    ]);
    expect(new Set([space, ...others]).size).toBe(6);
    const components = { mean: Float32Array.of(1, 2), matrix: Float32Array.of(3, 4), count: 1 };
    const first = await componentSpace(space, components);
    expect(first).not.toBe(space);
    expect(await componentSpace(space, { ...components, matrix: Float32Array.of(3, 5) })).not.toBe(first);
  });

  describe('over HTTP', () => {
    let server: RunningServer;
    let image: Uint8Array<ArrayBuffer>;

    beforeAll(async () => {
      const store = await tinyStore();
      const digest = 'a'.repeat(64);
      const source = { weights: digest, config: digest };
      const { provenance } = manifest;
      await publishTiny(store, { model: 'other', provenance: { ...provenance, recipe: {}, source } });
      server = await startServer({ store, port: 0, workers: 1, models: ['tiny', 'other'] });
      await server.loaded();
      image = await picture();
    });
    afterAll(() => server.close());

    const spaceOf = async (query: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}/v1/embed${query}`, {
        method: 'POST',
        body: image,
        headers,
      });
      expect(response.status).toBe(200);
      const { embedding_space: inBody } = (await response.json()) as { embedding_space: string }; // compared below
      expect(response.headers.get('Embedding-Space')).toBe(inBody);
      return inBody;
    };

    it('is in every answer: one for all levels, another for components and for other networks', async () => {
      const space = await embeddingSpace(manifest);
      for (const level of [0, 1, 2])
        expect(await spaceOf('', { 'Compute-Budget': `level=${level}` })).toBe(space);
      expect(await spaceOf(`?dimensions=${tinyConfig().embeddingWidth}`)).toBe(space);
      const [two, one, other] = [
        await spaceOf('?dimensions=2'),
        await spaceOf('?dimensions=1'),
        await spaceOf('?model=other'),
      ];
      expect(one).toBe(two);
      expect(new Set([space, two, other]).size).toBe(3);
      const models = (await (await fetch(`${server.url}/v1/models`)).json()) as {
        data: readonly { id: string; embedding_space: string }[]; // compared below
      };
      expect(new Map(models.data.map((model) => [model.id, model.embedding_space]))).toEqual(
        new Map([
          ['tiny', space],
          ['other', other],
        ]),
      );
    });

    it('is not mixed with another by the client', async () => {
      const client = new ConcertinaClient({ baseUrl: server.url });
      const { space } = await client.embed(image, { model: 'tiny' });
      const [item] = await client.embedMany([image], { model: 'tiny', level: 0, space });
      expect(item).toMatchObject({ space });
      await expect(client.embed(image, { model: 'other', space })).rejects.toMatchObject({
        code: 'embedding-space-changed',
        details: { expected: space },
      });
      await expect(client.embed(image, { model: 'tiny', dimensions: 2, space })).rejects.toMatchObject({
        code: 'embedding-space-changed',
      });
      // Another network under the same name.
      let name = 'tiny';
      const moving = new ConcertinaClient({
        baseUrl: server.url,
        fetch: (url, init) => fetch(String(url).replace('model=any', `model=${name}`), init),
      });
      await moving.embed(image, { model: 'any' });
      name = 'other';
      await expect(moving.embed(image, { model: 'any' })).rejects.toMatchObject({
        code: 'embedding-space-changed',
      });
    });
  });
});
