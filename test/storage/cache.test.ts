import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint, publishCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { cachedStore } from '../../src/storage/node.ts';
import { storeSuite } from '../conformance/storage/suite.ts';
import { differing, tinyCheckpoint } from '../s3/tiny-checkpoint.ts';

const folders: string[] = [];
async function makeFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'cache-'));
  folders.push(made);
  return made;
}
afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true, force: true }))));

const immutable = (key: string) => /\/[0-9a-f]{64}\//.test(key);
const LARGE = 1e9;

storeSuite('cached', async () =>
  cachedStore(memoryStore(), { directory: await makeFolder(), maxBytes: LARGE, immutable }),
);

describe('a cache in front of a store', () => {
  const model = `m/${'0'.repeat(64)}`;
  const bytes = (length: number, value = 1) => new Uint8Array(length).fill(value);
  let directory: string;
  let inner: ObjectStore;
  /** Keys that were read from the origin. */
  let read: string[];
  let origin: ObjectStore;
  beforeEach(async () => {
    directory = await makeFolder();
    inner = memoryStore();
    read = [];
    origin = {
      ...inner,
      get: (key, options) => {
        read.push(key);
        return inner.get(key, options);
      },
      getRange: (key, start, end, options) => {
        read.push(`${key} ${start}-${end}`);
        return inner.getRange(key, start, end, options);
      },
    };
  });

  const open = (maxBytes = LARGE) => cachedStore(origin, { directory, maxBytes, immutable });
  const files = async () => (await readdir(directory)).map((name) => join(directory, name));
  const used = async () => {
    const sizes = await Promise.all((await files()).map(async (path) => (await stat(path)).size));
    return sizes.reduce((total, size) => total + size, 0);
  };

  it('reads immutable objects and their ranges once, also after a restart', async () => {
    const written = await inner.put(
      `${model}/w`,
      Uint8Array.from({ length: 100 }, (_, index) => index),
    );
    for (const store of [open(), open(), open()]) {
      expect(await store.get(`${model}/w`)).toEqual(await inner.get(`${model}/w`));
      expect((await store.get(`${model}/w`)).etag).toBe(written.etag);
      expect([...(await store.getRange(`${model}/w`, 3, 6))]).toEqual([3, 4, 5]);
      expect([...(await store.getRange(`${model}/w`, 4, 6))]).toEqual([4, 5]);
    }
    expect(read).toEqual([`${model}/w`, `${model}/w 3-6`, `${model}/w 4-6`]);
  });

  it('always asks for objects that may change', async () => {
    const store = open();
    for (const value of [1, 2]) {
      await inner.put('m/latest.json', bytes(3, value));
      expect((await store.get('m/latest.json')).body).toEqual(bytes(3, value));
    }
    expect(await files()).toEqual([]);
  });

  it('loads a checkpoint a second time without reading weights, and notices a new one', async () => {
    await publishCheckpoint(inner, tinyCheckpoint(1));
    const load = async () => (await openCheckpoint(open(), 'tiny')).tensors();
    expect(differing(await load(), tinyCheckpoint(1).tensors)).toEqual([]);
    expect(read.length).toBeGreaterThan(5);
    read.length = 0;
    expect(differing(await load(), tinyCheckpoint(1).tensors)).toEqual([]);
    expect(read).toEqual(['tiny/latest.json']);
    await publishCheckpoint(inner, tinyCheckpoint(2));
    expect(differing(await load(), tinyCheckpoint(2).tensors)).toEqual([]);
  });

  it('loads a checkpoint although bytes were damaged on their way, once, and keeps the right ones', async () => {
    await publishCheckpoint(inner, tinyCheckpoint(1));
    let damaged = 3;
    const flipping: ObjectStore = {
      ...origin,
      getRange: async (key, start, end) => {
        const body = await inner.getRange(key, start, end);
        if (damaged-- > 0) body[0] = (body[0] ?? 0) ^ 1;
        return body;
      },
    };
    const store = cachedStore(flipping, { directory, maxBytes: LARGE, immutable });
    expect(
      differing(await (await openCheckpoint(store, 'tiny')).tensors(), tinyCheckpoint(1).tensors),
    ).toEqual([]);
    read.length = 0;
    expect(
      differing(await (await openCheckpoint(open(), 'tiny')).tensors(), tinyCheckpoint(1).tensors),
    ).toEqual([]);
    expect(read).toEqual(['tiny/latest.json']);
  });

  it.each(['a bit turned over', 'cut short', 'emptied'])(
    'fetches again what is damaged: %s',
    async (damage) => {
      await inner.put(`${model}/w`, bytes(1000));
      await open().get(`${model}/w`);
      const [path = ''] = await files();
      const { size } = await stat(path);
      for (const at of [0, 33, size - 1]) {
        const file = await readFile(path);
        file[at] = (file[at] ?? 0) ^ 1;
        if (damage === 'a bit turned over') await writeFile(path, file);
        else await truncate(path, damage === 'emptied' ? 0 : at);
        const before = read.length;
        expect((await open().get(`${model}/w`)).body).toEqual(bytes(1000));
        expect(read.length).toBe(before + 1);
        expect((await open().get(`${model}/w`)).body).toEqual(bytes(1000));
        expect(read.length).toBe(before + 1);
      }
    },
  );

  it('asks again when it is told that what it gave was damaged on the way, and keeps the new answer', async () => {
    await inner.put(`${model}/w`, bytes(10));
    const damaging = { ...origin, getRange: async () => bytes(5, 9) };
    const store = cachedStore(damaging, { directory, maxBytes: LARGE, immutable });
    expect(await store.getRange(`${model}/w`, 0, 5)).toEqual(bytes(5, 9));
    expect(await open().getRange(`${model}/w`, 0, 5)).toEqual(bytes(5, 9));
    expect(await open().getRange(`${model}/w`, 0, 5, { fresh: true })).toEqual(bytes(5));
    expect(await open().getRange(`${model}/w`, 0, 5)).toEqual(bytes(5));
  });

  it('gives callers bytes of their own', async () => {
    await inner.put(`${model}/w`, bytes(10));
    const store = open();
    (await store.get(`${model}/w`)).body.fill(9);
    (await store.get(`${model}/w`)).body.fill(9);
    expect((await store.get(`${model}/w`)).body).toEqual(bytes(10));
    expect((await open().get(`${model}/w`)).body.buffer.byteLength).toBe(10);
  });

  it('stays within its size, and lets go of what was used least recently', async () => {
    const [entries, size] = [10, 1000];
    const store = open(entries * size);
    const get = (index: number) => store.get(`${model}/${index}`);
    for (let index = 0; index < 30; index++) {
      await inner.put(`${model}/${index}`, bytes(size, index));
      await get(index);
      // One that is used all the time, whatever the file system's clock resolves.
      const past = new Date(Date.now() - 60_000 + index * 1000);
      for (const path of await files()) {
        if ((await stat(path)).mtimeMs > Date.now() - 500) await utimes(path, past, past);
      }
      expect((await get(0)).body).toEqual(bytes(size, 0));
      expect(await used()).toBeLessThanOrEqual(entries * size);
    }
    expect(read.filter((key) => key === `${model}/0`)).toHaveLength(1);
    read.length = 0;
    await get(29);
    await get(28);
    expect(read).toEqual([]);
    await get(5);
    expect(read).toEqual([`${model}/5`]);
  });

  it('counts what an earlier process left, and does not keep what is larger than the cache', async () => {
    await inner.put(`${model}/a`, bytes(6000));
    await inner.put(`${model}/b`, bytes(6000));
    await open(10_000).get(`${model}/a`);
    await open(10_000).get(`${model}/b`);
    expect(await used()).toBeLessThanOrEqual(10_000);
    const before = await files();
    await inner.put(`${model}/huge`, bytes(20_000));
    expect((await open(10_000).get(`${model}/huge`)).body).toHaveLength(20_000);
    expect(await files()).toEqual(before);
  });

  it('works without its folder: not writable, a file instead, removed meanwhile', async () => {
    await inner.put(`${model}/w`, bytes(10));
    const store = open();
    await store.get(`${model}/w`);
    await rm(directory, { recursive: true });
    expect((await store.get(`${model}/w`)).body).toEqual(bytes(10));
    await rm(directory, { recursive: true });
    await writeFile(directory, 'a file');
    expect((await store.get(`${model}/w`)).body).toEqual(bytes(10));
    await rm(directory);
    const locked = await makeFolder();
    await chmod(locked, 0o500);
    const other = cachedStore(origin, { directory: join(locked, 'x'), maxBytes: LARGE, immutable });
    expect((await other.get(`${model}/w`)).body).toEqual(bytes(10));
  });

  it('forgets what is written or removed through it', async () => {
    const store = open();
    await store.put(`${model}/w`, bytes(10));
    await store.get(`${model}/w`);
    await store.getRange(`${model}/w`, 0, 5);
    await store.delete(`${model}/w`);
    await expect(store.get(`${model}/w`)).rejects.toMatchObject({ code: 'object-not-found' });
    await expect(store.getRange(`${model}/w`, 0, 5)).rejects.toMatchObject({ code: 'object-not-found' });
  });

  it('keeps failures of the origin what they are, and keeps none of them', async () => {
    const store = open();
    await expect(store.get(`${model}/none`)).rejects.toMatchObject({ code: 'object-not-found' });
    await inner.put(`${model}/none`, bytes(3));
    expect((await store.get(`${model}/none`)).body).toEqual(bytes(3));
    await expect(store.getRange(`${model}/none`, 0, 4)).rejects.toMatchObject({ code: 'object-not-found' });
    const signal = AbortSignal.abort();
    await expect(store.get(`${model}/none`, { signal })).rejects.toThrow();
  });

  it('can be shared by several at a time', async () => {
    for (let index = 0; index < 20; index++) await inner.put(`${model}/${index}`, bytes(500, index));
    const stores = [open(4000), open(4000), open(4000)];
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        stores.flatMap((store) =>
          Array.from({ length: 20 }, async (_, index) => {
            expect((await store.get(`${model}/${index}`)).body).toEqual(bytes(500, index));
          }),
        ),
      );
    }
    expect((await files()).filter((path) => /\/\.[^/]*$/.test(path))).toEqual([]);
    const last = open(4000);
    for (let index = 0; index < 20; index++) await last.get(`${model}/${index}`);
    expect(await used()).toBeLessThanOrEqual(4000 + 3 * 600);
  });
});
