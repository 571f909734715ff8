import { beforeEach, describe, expect, it } from 'vitest';
import { collectGarbage, type GarbageOptions } from '../../src/checkpoint/gc.ts';
import { openCheckpoint, publishCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { differing, tinyCheckpoint } from '../s3/tiny-checkpoint.ts';

const content = (seed: number) => tinyCheckpoint(seed, 40);

const HOUR = 3600_000;
const DAY = 24 * HOUR;

describe('garbage collection', () => {
  let store: ObjectStore;
  let time: number;
  beforeEach(() => {
    time = 100 * DAY;
    store = memoryStore(() => time);
  });

  const collect = (options: GarbageOptions = {}) => collectGarbage(store, { now: () => time, ...options });
  const keys = async () => (await Array.fromAsync(store.list(''))).map(({ key }) => key);
  const text = (value: string) => new TextEncoder().encode(value);

  /** Publishes a version; its digest. */
  async function publish(seed: number, model = 'tiny'): Promise<string> {
    return (await publishCheckpoint(store, { ...content(seed), model })).digest;
  }

  it('removes versions that are not current, and nothing else', async () => {
    const [old, older, other] = [await publish(1), await publish(2), await publish(1, 'other')];
    const current = await publish(3);
    await store.put('tiny/notes.txt', text('mine'));
    await store.put('readme', text('mine'));
    time += 2 * DAY;
    const report = await collect();
    expect(report.removed.map(({ digest }) => digest).sort()).toEqual([old, older].sort());
    expect(report.kept.map(({ digest, reason }) => [digest, reason]).sort()).toEqual(
      [
        [current, 'current'],
        [other, 'current'],
      ].sort(),
    );
    expect(report.removed.every(({ objects }) => objects === 3)).toBe(true);
    expect((await keys()).filter((key) => !/latest|manifest|ranking|weights/.test(key))).toEqual([
      'readme',
      'tiny/notes.txt',
    ]);
    expect(await keys()).toHaveLength(2 + 2 * 4);
    for (const [model, seed] of [
      ['tiny', 3],
      ['other', 1],
    ] as const) {
      const found = await (await openCheckpoint(store, model)).tensors();
      expect(differing(found, content(seed).tensors)).toEqual([]);
    }
    expect((await collect()).removed).toEqual([]);
  });

  it('frees the bytes that it says', async () => {
    await publish(1);
    await publish(2);
    time += 2 * DAY;
    const size = async () =>
      (await Array.fromAsync(store.list(''))).reduce((sum, found) => sum + found.size, 0);
    const before = await size();
    const { bytes } = await collect();
    expect(before - (await size())).toBe(bytes);
    expect(bytes).toBeGreaterThan(1e5);
  });

  it('only tells, when asked to', async () => {
    const old = await publish(1);
    await publish(2);
    time += 2 * DAY;
    const before = await keys();
    const told = await collect({ dryRun: true });
    expect(told.removed.map(({ digest }) => digest)).toEqual([old]);
    expect(await keys()).toEqual(before);
    expect((await collect()).removed).toEqual(told.removed);
  });

  it('keeps a version that was current until a moment ago: somebody may be reading it', async () => {
    const old = await publish(1);
    const reader = await openCheckpoint(store, 'tiny');
    time += 30 * DAY;
    await publish(2);
    time += HOUR;
    expect(await collect()).toMatchObject({
      removed: [],
      kept: expect.arrayContaining([expect.objectContaining({ digest: old, reason: 'recent' })]),
    });
    expect(differing(await reader.tensors(), content(1).tensors)).toEqual([]);
    time += DAY;
    expect((await collect()).removed).toHaveLength(1);
  });

  it('keeps what is being published, and removes what was given up', async () => {
    await publish(1);
    time += 30 * DAY;
    const unfinished = `tiny/${'a'.repeat(64)}/weights.safetensors`;
    await store.put(unfinished, text('half'));
    time += HOUR;
    expect((await collect()).removed).toEqual([]);
    const first = `new/${'b'.repeat(64)}/weights.safetensors`;
    await store.put(first, text('half'));
    time += DAY - 1;
    expect((await collect()).removed.map(({ digest }) => digest)).toEqual(['a'.repeat(64)]);
    time += 1;
    expect((await collect()).removed.map(({ model }) => model)).toEqual(['new']);
  });

  it('takes the grace period, the pins and the model that it is given', async () => {
    const [a, b] = [await publish(1), await publish(2)];
    await publish(3);
    await publish(1, 'other');
    await publish(2, 'other');
    time += HOUR;
    const options = { olderThan: HOUR / 2, keep: [a], model: 'tiny' };
    const { removed, kept } = await collect(options);
    expect(removed.map(({ model, digest }) => [model, digest])).toEqual([['tiny', b]]);
    expect(kept).toContainEqual(expect.objectContaining({ digest: a, reason: 'asked' }));
    expect((await keys()).filter((key) => key.startsWith('other/'))).toHaveLength(7);
  });

  it('removes nothing of a model whose pointer cannot be read, or whose age the store does not tell', async () => {
    await publish(1);
    await publish(2);
    await store.put('tiny/latest.json', text('{"digest":'));
    time += 2 * DAY;
    const broken = await collect();
    expect(broken.removed).toEqual([]);
    expect(broken.kept.map(({ reason }) => reason)).toEqual(['unreadable-pointer', 'unreadable-pointer']);
    await publish(3, 'ageless');
    await publish(4, 'ageless');
    const ageless: ObjectStore = {
      ...store,
      async *list(prefix) {
        for await (const { key, size } of store.list(prefix)) yield { key, size };
      },
    };
    const { removed, kept } = await collectGarbage(ageless, { now: () => time + DAY, model: 'ageless' });
    expect(removed).toEqual([]);
    expect(kept.map(({ reason }) => reason).sort()).toEqual(['current', 'unknown-age']);
  });

  it('looks at the pointer again before it removes: a version that has become current stays', async () => {
    const old = await publish(1);
    await publish(2);
    time += 2 * DAY;
    const busy: ObjectStore = {
      ...store,
      async *list(prefix) {
        yield* store.list(prefix);
        await publish(1);
      },
    };
    const { removed } = await collectGarbage(busy, { now: () => time });
    expect(removed.map(({ digest }) => digest)).not.toContain(old);
    expect((await openCheckpoint(store, 'tiny')).digest).toBe(old);
    await (await openCheckpoint(store, 'tiny')).tensors();
  });

  it('says so when a version becomes current while it is being removed', async () => {
    await publish(1);
    await publish(2);
    time += 2 * DAY;
    const busy: ObjectStore = {
      ...store,
      async delete(key) {
        if (key.endsWith('manifest.json')) await publish(1);
        await store.delete(key);
      },
    };
    await expect(collectGarbage(busy, { now: () => time })).rejects.toMatchObject({
      code: 'corrupt-checkpoint',
    });
    await publish(1);
    await (await openCheckpoint(store, 'tiny')).tensors();
  });

  it('that removes a version while it is published again takes nothing away', async () => {
    await publish(1);
    await publish(2);
    time += 2 * DAY;
    const busy: ObjectStore = {
      ...store,
      async put(key, body, options) {
        // What was there already has been looked at; the pointer has not moved yet.
        if (key.endsWith('latest.json')) expect((await collect()).removed).toHaveLength(1);
        return await store.put(key, body, options);
      },
    };
    await publishCheckpoint(busy, { ...content(1), model: 'tiny' });
    const found = await (await openCheckpoint(store, 'tiny')).tensors();
    expect(differing(found, content(1).tensors)).toEqual([]);
  });

  it('removes the manifest first, and finishes what was interrupted', async () => {
    const old = await publish(1);
    await publish(2);
    time += 2 * DAY;
    const deleted: string[] = [];
    const failing: ObjectStore = {
      ...store,
      async delete(key) {
        if (deleted.length === 1) throw new Error('interrupted');
        deleted.push(key);
        await store.delete(key);
      },
    };
    await expect(collectGarbage(failing, { now: () => time })).rejects.toThrow('interrupted');
    expect(deleted).toEqual([`tiny/${old}/manifest.json`]);
    expect((await collect()).removed).toMatchObject([{ digest: old, objects: 2 }]);
    expect((await keys()).filter((key) => key.includes(old))).toEqual([]);
  });
});
