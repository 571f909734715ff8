import { S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ObjectStore } from '../../../src/storage/index.ts';
import type { S3StoreOptions } from '../../../src/storage/node.ts';
import { freshBucket, gateway, NEEDS_GATEWAY, storeIn } from '../../s3/bucket.ts';
import { type FaultyProxy, faultyProxy } from './faulty-proxy.ts';

const body = new TextEncoder().encode('hello');
const denied = expect.objectContaining({
  code: 'store-denied',
  message: expect.stringContaining('credentials'),
});

describe.skipIf(!gateway)(`a store that refuses access ${NEEDS_GATEWAY}`, () => {
  let bucket: string;
  let proxy: FaultyProxy;
  beforeAll(async () => {
    bucket = await freshBucket();
    proxy = await faultyProxy(gateway?.endpoint ?? '');
    await storeIn(bucket).put('k', body);
  });
  afterEach(() => {
    proxy.plan = () => undefined;
  });
  afterAll(() => proxy?.close());

  async function expectDenied(store: ObjectStore): Promise<void> {
    await expect(store.get('k')).rejects.toEqual(denied);
    await expect(store.getRange('k', 0, 1)).rejects.toEqual(denied);
    await expect(store.head('k')).rejects.toEqual(denied);
    await expect(store.put('l', body)).rejects.toEqual(denied);
    await expect(store.put('l', body, { condition: 'absent' })).rejects.toEqual(denied);
    await expect(Array.fromAsync(store.list(''))).rejects.toEqual(denied);
    await expect(store.delete('k')).rejects.toEqual(denied);
    expect(await storeIn(bucket).head('l')).toBeUndefined();
  }

  it.each<[string, (own: { accessKeyId: string }) => S3StoreOptions['credentials'] & object]>([
    ['a wrong secret', ({ accessKeyId }) => ({ accessKeyId, secretAccessKey: 'wrong' })],
    ['an unknown key', () => ({ accessKeyId: 'nobody', secretAccessKey: 'x' })],
  ])('says so to %s, and never shows the secret', async (_, credentials) => {
    const own = credentials(gateway ?? { accessKeyId: '' });
    const store = storeIn(bucket, { credentials: own });
    await expectDenied(store);
    const error = await store.get('k').catch((problem: unknown) => problem);
    expect(String(error)).not.toContain(own.secretAccessKey);
  });

  it.each(['ExpiredToken', 'InvalidToken', 'TokenRefreshRequired'])(
    'says so when the session has ended (%s, with status 400)',
    async (code) => {
      const store = storeIn(bucket, { endpoint: proxy.endpoint });
      proxy.plan = ({ method }) => (method === 'HEAD' ? undefined : { kind: 'refuse', status: 400, code });
      await expect(store.get('k')).rejects.toEqual(denied);
      await expect(store.put('l', body)).rejects.toEqual(denied);
      await expect(Array.fromAsync(store.list(''))).rejects.toEqual(denied);
    },
  );

  it('says so when there are no credentials at all', async () => {
    const nothing = Object.assign(new Error('Could not load credentials from any providers'), {
      name: 'CredentialsProviderError',
    });
    const client = new S3Client({ region: 'us-east-1', credentials: () => Promise.reject(nothing) });
    await expectDenied(storeIn(bucket, { client }));
  });

  it('says that a bucket is missing', async () => {
    const store = storeIn('no-such-bucket');
    await expect(store.get('k')).rejects.toMatchObject({ code: 'object-not-found' });
    await expect(store.put('k', body)).rejects.toMatchObject({ code: 'object-not-found' });
  });

  it('says that nobody answers at an endpoint', async () => {
    const store = storeIn(bucket, { endpoint: 'http://127.0.0.1:9' });
    await expect(store.get('k')).rejects.toMatchObject({ code: 'store-unavailable' });
  });

  it.each([-3600_000, 3600_000])('works with a clock that is %i ms off', async (offset) => {
    const store = storeIn(bucket, { endpoint: proxy.endpoint });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + offset });
    try {
      const before = proxy.seen.length;
      expect((await store.get('k')).body).toEqual(body);
      // The first one was refused; its answer told the time.
      expect(proxy.seen.length - before).toBe(2);
      await store.put(`clock ${offset}`, body, { condition: 'absent' });
      expect(proxy.seen.length - before).toBe(3);
    } finally {
      vi.useRealTimers();
    }
  });
});
