import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getPlatformProxy } from 'wrangler';
import { openCheckpoint, publishCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { type R2Binding, r2Store } from '../../src/storage/r2.ts';
import { storeSuite } from '../conformance/storage/suite.ts';
import { differing, tinyCheckpoint } from '../s3/tiny-checkpoint.ts';

let folder: string;
let platform: Awaited<ReturnType<typeof getPlatformProxy<{ BUCKET: R2Binding }>>>;

/** A bucket as wrangler simulates it on this machine. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'r2-'));
  const configPath = join(folder, 'wrangler.json');
  const bucket = { binding: 'BUCKET', bucket_name: 'models' };
  const config = { name: 'r2-test', compatibility_date: '2026-01-01', r2_buckets: [bucket] };
  await writeFile(configPath, JSON.stringify(config));
  platform = await getPlatformProxy<{ BUCKET: R2Binding }>({ configPath, persist: false });
});
afterAll(async () => {
  await platform?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const fresh = async () => r2Store({ bucket: platform.env.BUCKET, prefix: randomUUID() });

storeSuite('r2', fresh);

describe('the r2 store', () => {
  it('holds a checkpoint', async () => {
    const store = await fresh();
    const content = tinyCheckpoint(1);
    await publishCheckpoint(store, content);
    const checkpoint = await openCheckpoint(store, 'tiny');
    expect(differing(await checkpoint.tensors(), content.tensors)).toEqual([]);
  });

  it('tries a read again, gives up in the end, and never gives less than was asked for', async () => {
    const bytes = new Uint8Array(10).fill(7);
    let failures = 0;
    let cut = 0;
    const object = { key: 'k', size: 10, etag: 'e', uploaded: new Date() };
    const flaky: R2Binding = {
      head: async () => object,
      get: async () => {
        if (failures-- > 0)
          throw new Error('get: We encountered an internal error. Please try again. (10001)');
        return { ...object, arrayBuffer: async () => bytes.slice(0, cut-- > 0 ? 9 : 10).buffer };
      },
      put: () => Promise.reject(new Error('put: internal error (10001)')),
      list: () => Promise.reject(new Error('list: internal error (10001)')),
      delete: () => Promise.reject(new Error('delete: internal error (10001)')),
    };
    const store = r2Store({ bucket: flaky });
    failures = 2;
    expect((await store.get('k')).body).toEqual(bytes);
    [failures, cut] = [1, 1];
    expect(await store.getRange('k', 0, 10)).toEqual(bytes);
    const unavailable = { code: 'store-unavailable' };
    failures = 3;
    await expect(store.get('k')).rejects.toMatchObject(unavailable);
    [failures, cut] = [0, 3];
    await expect(store.getRange('k', 0, 10)).rejects.toMatchObject(unavailable);
    await expect(store.put('k', bytes)).rejects.toMatchObject(unavailable);
    await expect(store.delete('k')).rejects.toMatchObject(unavailable);
    await expect(Array.fromAsync(store.list(''))).rejects.toMatchObject(unavailable);
  });

  it('lists more than a page', async () => {
    const uploaded = new Date(5000);
    const objects = ['k/1', 'k/2', 'k/3'].map((key) => ({ key, size: 1, etag: 'e', uploaded }));
    const bucket: R2Binding = {
      ...platform.env.BUCKET,
      list: async ({ cursor = '0' }) => ({
        objects: objects.slice(Number(cursor), Number(cursor) + 1),
        truncated: cursor !== '2',
        cursor: `${Number(cursor) + 1}`,
      }),
    };
    const found = await Array.fromAsync(r2Store({ bucket }).list('k/'));
    expect(found).toEqual(objects.map(({ key }) => ({ key, size: 1, modified: 5000 })));
  });

  it('is a store like the others: what one wrote can be copied to another', async () => {
    const [from, to] = [await fresh(), memoryStore()];
    await publishCheckpoint(from, tinyCheckpoint(2));
    for await (const { key } of from.list('')) await to.put(key, (await from.get(key)).body);
    expect((await openCheckpoint(to, 'tiny')).digest).toBe((await openCheckpoint(from, 'tiny')).digest);
  });
});
