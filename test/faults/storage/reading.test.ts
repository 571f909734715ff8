import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint, publishCheckpoint } from '../../../src/checkpoint/index.ts';
import { isProblem } from '../../../src/problem/index.ts';
import type { ObjectStore } from '../../../src/storage/index.ts';
import { freshBucket, gateway, NEEDS_GATEWAY, storeIn } from '../../s3/bucket.ts';
import { differing, tinyCheckpoint } from '../../s3/tiny-checkpoint.ts';
import { uniform } from '../../support/tiny-vit.ts';
import { type Fault, type FaultyProxy, faultyProxy } from './faulty-proxy.ts';
import { randomFault } from './random-fault.ts';

const IDLE_MS = 400;
const SIZE = 300_000;

describe.skipIf(!gateway)(`reading from a store on which things go wrong ${NEEDS_GATEWAY}`, () => {
  let proxy: FaultyProxy;
  let direct: ObjectStore;
  let store: ObjectStore;
  const body = randomBytes(SIZE);
  const content = tinyCheckpoint(1);

  beforeAll(async () => {
    proxy = await faultyProxy(gateway?.endpoint ?? '');
    const bucket = await freshBucket();
    direct = storeIn(bucket);
    store = storeIn(bucket, { endpoint: proxy.endpoint, idleTimeoutMs: IDLE_MS });
    await direct.put('k', body);
    await publishCheckpoint(direct, content);
  });
  afterEach(() => {
    proxy.plan = () => undefined;
  });
  afterAll(() => proxy?.close());

  /** The fault happens to the first so many requests. */
  function first(times: number, fault: Fault): void {
    let left = times;
    proxy.plan = () => (left-- > 0 ? fault : undefined);
  }

  it.each<Fault>([
    { kind: 'reset' },
    { kind: 'lost-answer' },
    { kind: 'slow-down' },
    { kind: 'refuse', status: 500, code: 'InternalError' },
    { kind: 'silence' },
    { kind: 'stall', after: 1000 },
    { kind: 'cut', after: 0 },
    { kind: 'cut', after: SIZE - 1 },
  ])('gets over $kind, twice in a row', async (fault) => {
    const before = proxy.seen.length;
    first(2, fault);
    expect(Buffer.compare((await store.get('k')).body, body)).toBe(0);
    expect(proxy.seen.length - before).toBe(3);
    first(2, fault);
    expect(Buffer.compare(await store.getRange('k', 5, SIZE), body.subarray(5))).toBe(0);
  });

  it.each<Fault>([
    { kind: 'reset' },
    { kind: 'refuse', status: 500, code: 'InternalError' },
    { kind: 'cut', after: 1000 },
    { kind: 'shorten', by: 1 },
  ])('says that the store does not answer when $kind does not end', async (fault) => {
    proxy.plan = () => fault;
    await expect(store.getRange('k', 0, 2000)).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringContaining('try again'),
    });
  });

  it.each<Fault>([{ kind: 'silence' }, { kind: 'stall', after: 10 }])(
    'waits for a server in $kind no longer than it has to',
    async (fault) => {
      proxy.plan = () => fault;
      const began = performance.now();
      await expect(store.getRange('k', 0, 2000)).rejects.toMatchObject({ code: 'store-unavailable' });
      // Six tries at most, and the waits between them.
      expect(performance.now() - began).toBeLessThan(6 * IDLE_MS + 15_000);
    },
  );

  it.each<Fault>([{ kind: 'silence' }, { kind: 'stall', after: 10 }, { kind: 'slow-down' }])(
    'stops at once, also in $kind, when the caller goes away',
    async (fault) => {
      proxy.plan = () => fault;
      const controller = new AbortController();
      const reading = store.get('k', { signal: controller.signal });
      setTimeout(() => controller.abort(), 200);
      const began = performance.now();
      await expect(reading).rejects.toSatisfy((error) => !isProblem(error));
      expect(performance.now() - began).toBeLessThan(500);
    },
  );

  it('never gives bytes that are not those of the object, without being told', async () => {
    first(1, { kind: 'shorten', by: 10 });
    expect((await store.getRange('k', 0, 2000)).length).toBe(2000);
    // Bits that turn over on the way are found by the checkpoint's own digests.
    for (const at of [0, 77, 12_345]) {
      proxy.plan = ({ path }) => (/weights/.test(path) ? { kind: 'flip', at } : undefined);
      const checkpoint = await openCheckpoint(store, 'tiny');
      await expect(checkpoint.tensors()).rejects.toMatchObject({ code: 'corrupt-checkpoint' });
      proxy.plan = ({ path }) => (/manifest/.test(path) ? { kind: 'flip', at } : undefined);
      await expect(openCheckpoint(store, 'tiny')).rejects.toMatchObject({ code: 'corrupt-checkpoint' });
    }
  });

  it('gives a checkpoint bit by bit or a problem, whatever goes wrong', async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 20; seed++) {
      const random = uniform(seed);
      proxy.plan = () => (random() > 0.6 ? randomFault(random) : undefined);
      const outcome = await readAll().catch((error: unknown) => {
        if (isProblem(error)) return error.code;
        throw error;
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    const allowed = [
      'read',
      'corrupt-checkpoint',
      'invalid-checkpoint',
      'store-unavailable',
      'object-not-found',
    ];
    expect([...outcomes.keys()].filter((outcome) => !allowed.includes(outcome))).toEqual([]);
    // Faults that the driver gets over are most of them.
    expect(outcomes.get('read')).toBeGreaterThan(3);
  });

  async function readAll(): Promise<string> {
    const found = await (await openCheckpoint(store, 'tiny')).tensors();
    expect(differing(found, content.tensors)).toEqual([]);
    return 'read';
  }
});
