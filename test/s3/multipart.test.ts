import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/checkpoint/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { freshBucket, gateway, NEEDS_GATEWAY, s3Client, storeIn } from './bucket.ts';

/** More than two parts. */
const LARGE = 40 * 1024 * 1024;

describe.skipIf(!gateway)(`objects in several parts in a real S3 server ${NEEDS_GATEWAY}`, () => {
  let bucket: string;
  let store: ObjectStore;
  let body: Uint8Array;
  const client = s3Client();
  beforeAll(() => {
    body = randomBytes(LARGE);
  });
  beforeEach(async () => {
    bucket = await freshBucket();
    store = storeIn(bucket);
  });
  afterAll(() => client.destroy());

  async function unfinished(): Promise<number> {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return Uploads.length;
  }
  async function* chunks(size: number, before: (sent: number) => void = () => {}) {
    for (let at = 0; at < body.length; at += size) {
      before(at);
      yield body.subarray(at, at + size);
    }
  }

  it('are stored whole, from memory and from a stream, and read by range across parts', async () => {
    const written = await store.put('large', body);
    expect(written).toEqual({ size: LARGE, etag: (await store.head('large'))?.etag });
    expect(await sha256((await store.get('large')).body)).toBe(await sha256(body));
    const [start, end] = [16 * 1024 * 1024 - 1000, 16 * 1024 * 1024 + 1000];
    expect(Buffer.compare(await store.getRange('large', start, end), body.subarray(start, end))).toBe(0);
    expect(await store.put('streamed', chunks(1_234_567))).toMatchObject({ size: LARGE });
    expect(await sha256((await store.get('streamed')).body)).toBe(await sha256(body));
  });

  it('leave nothing behind when the caller goes away', async () => {
    const controller = new AbortController();
    const stream = chunks(1024 * 1024, (sent) => sent >= 20 * 1024 * 1024 && controller.abort());
    await expect(store.put('gone', stream, { signal: controller.signal })).rejects.toThrow();
    expect(await store.head('gone')).toBeUndefined();
    expect(await unfinished()).toBe(0);
  });

  it('leave nothing behind when the source breaks', async () => {
    const stream = chunks(1024 * 1024, (sent) => {
      if (sent >= 36 * 1024 * 1024) throw new Error('the source broke');
    });
    await expect(store.put('broken', stream)).rejects.toThrow('the source broke');
    expect(await store.head('broken')).toBeUndefined();
    expect(await unfinished()).toBe(0);
  });

  it('keep the old object until the new one is whole', async () => {
    await store.put('k', new TextEncoder().encode('old'));
    const seen = new Set<number>();
    let done = false;
    const writing = store.put('k', chunks(4 * 1024 * 1024)).then(() => {
      done = true;
    });
    while (!done) seen.add((await store.head('k'))?.size ?? -1);
    await writing;
    expect([...seen].filter((size) => size !== 3 && size !== LARGE)).toEqual([]);
    expect((await store.head('k'))?.size).toBe(LARGE);
  });

  it('are written only if absent, when asked to', async () => {
    await store.put('once', new TextEncoder().encode('first'));
    await expect(store.put('once', body, { condition: 'absent' })).rejects.toMatchObject({
      code: 'precondition-failed',
    });
    expect((await store.head('once'))?.size).toBe(5);
    expect(await unfinished()).toBe(0);
  });
});
