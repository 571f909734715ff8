import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BulkBatchSchema, type Embedder, embedBatch, openEmbedder } from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

let embedder: Embedder;
beforeAll(async () => {
  embedder = await openEmbedder(await tinyStore(), 'tiny');
});
afterAll(() => embedder.close());

describe('a bulk batch', () => {
  it('writes one line per picture, in order, under a name that a second try overwrites', async () => {
    const bucket = memoryStore();
    await bucket.put('bulk/a.png', await picture('#ff0000'));
    await bucket.put('bulk/b.txt', new TextEncoder().encode('no picture'));
    await bucket.put('bulk/c.png', await picture('#00ff00'));
    const batch = BulkBatchSchema.parse({
      Items: [{ key: 'bulk/a.png' }, { key: 'bulk/b.txt' }, { key: 'bulk/gone.png' }, { key: 'bulk/c.png' }],
      BatchInput: { model: 'tiny', budget: 'level=1', run: 'today', bucket: 'pictures' },
    });
    const first = await embedBatch(batch, bucket, embedder);
    expect(first).toMatchObject({ embedded: 2, failed: 2 });
    expect(await embedBatch(batch, bucket, embedder)).toEqual(first);
    const { body } = await bucket.get(first.key);
    const lines = new TextDecoder()
      .decode(body)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ key, error }) => [key, error?.code])).toEqual([
      ['bulk/a.png', undefined],
      ['bulk/b.txt', 'undecodable-image'],
      ['bulk/gone.png', 'object-not-found'],
      ['bulk/c.png', undefined],
    ]);
    expect(lines[0]).toMatchObject({ level: 1, fidelity: 0.9 });
    expect(lines[0].embedding).toHaveLength(12);
    expect(Math.hypot(...lines[0].embedding)).toBeCloseTo(1, 5);
    expect(lines[0].embedding).not.toEqual(lines[3].embedding);
  });

  it('refuses a run name that would leave its folder', () => {
    const input = { model: 'tiny', budget: '', run: '../models', bucket: 'pictures' };
    expect(BulkBatchSchema.safeParse({ Items: [{ key: 'a' }], BatchInput: input }).success).toBe(false);
  });
});
