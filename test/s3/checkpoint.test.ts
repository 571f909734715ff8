import { beforeEach, describe, expect, it } from 'vitest';
import { collectGarbage } from '../../src/checkpoint/gc.ts';
import { listModels, openCheckpoint, publishCheckpoint } from '../../src/checkpoint/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { freshStore, gateway, NEEDS_GATEWAY } from './bucket.ts';
import { differing, tinyCheckpoint } from './tiny-checkpoint.ts';

describe.skipIf(!gateway)(`a checkpoint in a real S3 server ${NEEDS_GATEWAY}`, () => {
  let store: ObjectStore;
  beforeEach(async () => {
    store = await freshStore({ prefix: 'models' });
  });

  it('is published and read back, weight by weight', async () => {
    const content = tinyCheckpoint(1);
    const { digest } = await publishCheckpoint(store, content);
    const checkpoint = await openCheckpoint(store, 'tiny');
    expect(checkpoint.digest).toBe(digest);
    expect(await listModels(store)).toEqual(['tiny']);
    const tensors = await checkpoint.tensors();
    expect(differing(tensors, content.tensors)).toEqual([]);
  });

  it('published twice is one checkpoint', async () => {
    const [first, second] = [
      await publishCheckpoint(store, tinyCheckpoint(1)),
      await publishCheckpoint(store, tinyCheckpoint(1)),
    ];
    expect(second.digest).toBe(first.digest);
    expect(await Array.fromAsync(store.list(''))).toHaveLength(4);
  });

  it.each(['nothing was there', 'something was there'])(
    'published by two at once when %s: one wins, the other is told, both are whole',
    async (before) => {
      if (before === 'something was there') await publishCheckpoint(store, tinyCheckpoint(1));
      const contents = [tinyCheckpoint(2), tinyCheckpoint(3)];
      const results = await Promise.allSettled(contents.map((content) => publishCheckpoint(store, content)));
      const losers = results.filter((result) => result.status === 'rejected');
      // Either they met, and one was refused, or one was done before the other looked.
      expect(losers.length).toBeLessThanOrEqual(1);
      for (const { reason } of losers) expect(reason).toMatchObject({ code: 'precondition-failed' });
      const current = await openCheckpoint(store, 'tiny');
      const winner = results.findIndex(
        (result) => result.status === 'fulfilled' && result.value.digest === current.digest,
      );
      expect(winner).toBeGreaterThanOrEqual(0);
      const found = await current.tensors();
      expect(differing(found, contents[winner]?.tensors ?? new Map())).toEqual([]);
      const { digest } = losers[0]?.reason?.details ?? {};
      if (digest) expect((await openCheckpoint(store, 'tiny', { digest })).digest).toBe(digest);
    },
  );

  it('published by eight at once is exactly one of them', async () => {
    const contents = Array.from({ length: 8 }, (_, seed) => tinyCheckpoint(10 + seed));
    const results = await Promise.allSettled(contents.map((content) => publishCheckpoint(store, content)));
    const digests = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.digest] : []));
    expect(digests.length).toBeGreaterThanOrEqual(1);
    const current = await openCheckpoint(store, 'tiny');
    expect(digests).toContain(current.digest);
    await current.tensors();
  });

  it('loses its old versions to the garbage collection, once they are old enough, and not the current one', async () => {
    const { digest: old } = await publishCheckpoint(store, tinyCheckpoint(1));
    const { digest } = await publishCheckpoint(store, tinyCheckpoint(2));
    expect((await collectGarbage(store)).removed).toEqual([]);
    const { removed } = await collectGarbage(store, { olderThan: 1000, now: () => Date.now() + 60_000 });
    expect(removed).toMatchObject([{ digest: old, objects: 3 }]);
    expect(await Array.fromAsync(store.list(''))).toHaveLength(4);
    expect((await openCheckpoint(store, 'tiny')).digest).toBe(digest);
  });
});
