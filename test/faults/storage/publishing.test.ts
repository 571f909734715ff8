import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint, publishCheckpoint, sha256 } from '../../../src/checkpoint/index.ts';
import { isProblem } from '../../../src/problem/index.ts';
import type { ObjectStore } from '../../../src/storage/index.ts';
import { freshBucket, gateway, NEEDS_GATEWAY, s3Client, storeIn } from '../../s3/bucket.ts';
import { differing, tinyCheckpoint } from '../../s3/tiny-checkpoint.ts';
import { uniform } from '../../support/tiny-vit.ts';
import { type FaultyProxy, faultyProxy } from './faulty-proxy.ts';
import { randomFault } from './random-fault.ts';

const IDLE_MS = 400;

describe.skipIf(!gateway)(`writing to a store on which things go wrong ${NEEDS_GATEWAY}`, () => {
  let proxy: FaultyProxy;
  let bucket: string;
  let direct: ObjectStore;
  let store: ObjectStore;
  const client = s3Client();

  beforeAll(async () => {
    proxy = await faultyProxy(gateway?.endpoint ?? '');
  });
  beforeEach(async () => {
    bucket = await freshBucket();
    direct = storeIn(bucket);
    store = storeIn(bucket, { endpoint: proxy.endpoint, idleTimeoutMs: IDLE_MS });
  });
  afterEach(() => {
    proxy.plan = () => undefined;
  });
  afterAll(async () => {
    client.destroy();
    await proxy?.close();
  });

  async function unfinished(): Promise<number> {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return Uploads.length;
  }
  const text = (value: string) => new TextEncoder().encode(value);

  it.each(['reset', 'lost-answer', 'slow-down', 'silence'] as const)(
    'an object that is put only if absent is there once, and the writer knows it, after %s',
    async (kind) => {
      let left = 2;
      proxy.plan = ({ method }) => (method === 'PUT' && left-- > 0 ? { kind } : undefined);
      const written = await store.put('once', text('mine'), { condition: 'absent' });
      expect(written).toEqual({ size: 4, etag: (await direct.head('once'))?.etag });
      await expect(store.put('once', text('yours'), { condition: 'absent' })).rejects.toMatchObject({
        code: 'precondition-failed',
      });
      left = 1;
      const swapped = await store.put('once', text('mine again'), { condition: { etag: written.etag } });
      expect(swapped.etag).toBe((await direct.head('once'))?.etag);
    },
  );

  it('an answer that was lost does not make somebody else’s object one’s own', async () => {
    await direct.put('once', text('theirs'));
    let left = 1;
    proxy.plan = ({ method }) => (method === 'PUT' && left-- > 0 ? { kind: 'lost-answer' } : undefined);
    await expect(store.put('once', text('mine'), { condition: 'absent' })).rejects.toMatchObject({
      code: 'precondition-failed',
    });
    expect(new TextDecoder().decode((await direct.get('once')).body)).toBe('theirs');
  });

  it.each(['reset', 'lost-answer', 'slow-down'] as const)(
    'an object in parts is whole, and nothing is left over, after every third request met %s',
    async (kind) => {
      const body = randomBytes(40 * 1024 * 1024);
      let count = 0;
      proxy.plan = () => (count++ % 3 === 1 ? { kind } : undefined);
      const written = await store.put('large', body);
      expect(written).toEqual(await direct.head('large'));
      expect(await sha256((await direct.get('large')).body)).toBe(await sha256(body));
      // Uploads that were begun by a request whose answer was lost are nobody's: the bucket's lifecycle rule ends them.
      if (kind !== 'lost-answer') await expect.poll(unfinished, { timeout: 5000 }).toBe(0);
    },
  );

  it('an object in parts whose last answer was lost is known to be there', async () => {
    const body = randomBytes(20 * 1024 * 1024);
    let left = 1;
    proxy.plan = ({ method, path }) =>
      method === 'POST' && path.includes('uploadId') && left-- > 0 ? { kind: 'lost-answer' } : undefined;
    expect(await store.put('large', body)).toEqual(await direct.head('large'));
    expect(left).toBeLessThan(1);
  });

  it('a checkpoint is never half there: readers find the old one or the new one, and publishing again completes it', async () => {
    const [old, next] = [tinyCheckpoint(1), tinyCheckpoint(2)];
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 8; seed++) {
      const own = `run-${seed}`;
      const [before, after] = [old, next].map((content) => ({ ...content, model: own }));
      if (!before || !after) throw new Error('there are two');
      const { digest } = await publishCheckpoint(direct, before);
      const random = uniform(seed);
      const share = seed % 2 === 0 ? 0.3 : -0.4;
      proxy.plan = () => (random() > share ? randomFault(random) : undefined);
      const published = await publishCheckpoint(store, after).then(
        (result) => result.digest,
        (error: unknown) => {
          if (!isProblem(error)) throw error;
          return error.code;
        },
      );
      proxy.plan = () => undefined;
      const current = await openCheckpoint(direct, own);
      const expected = current.digest === digest ? before : after;
      const found = await current.tensors();
      expect(differing(found, expected.tensors)).toEqual([]);
      if (/^[0-9a-f]{64}$/.test(published)) expect(current.digest).toBe(published);
      outcomes.add(current.digest === digest ? 'old' : 'new');

      const again = await publishCheckpoint(store, after);
      expect((await openCheckpoint(direct, own)).digest).toBe(again.digest);
    }
    expect(outcomes).toEqual(new Set(['old', 'new']));
  });
});
